"""No archive is ever unpacked onto a disk; those that are read are read in memory, member by member, within bounds."""

import ast
import io
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import octavo
from octavo.errors import IntegrityError, OctavoError
from octavo.registry.bundles import Bundle, fetch_bundle, open_bundle
from octavo.registry.formats import sklearn_files, symmetric_file, torch_programs
from octavo.stores.memory import MemoryArtifacts
from tests.security.sites import parsed
from tests.serving.bundles import publish_bundle

PACKAGE = Path(octavo.__file__).parent
UNPACKS = ("extractall", "extract", "unpack_archive", "TarFile")
OWN_COMMIT = "shutil.unpack_archive(archive, into, format='tar', filter='data')"
BOMB = 250_000_000


def zipped(*members: tuple[str, bytes], packed: bool = False) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name) if not packed else name, content)
    return into.getvalue()


def linked() -> bytes:
    """A member that is a symbolic link, as Unix writes it."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        member = zipfile.ZipInfo("schema.json")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc/passwd")
    return into.getvalue()


def tarred() -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../planted")
        member.size = 7
        archive.addfile(member, io.BytesIO(b"planted"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    return into.getvalue()


ARCHIVES = {
    "upwards": zipped(("../../planted", b"planted"), ("schema.json", b"{}")),
    "absolute": zipped(("/tmp/planted", b"planted")),
    "backslashes": zipped(("..\\..\\planted", b"planted")),
    "a link": linked(),
    "a tar": tarred(),
    "nothing": b"PK\x05\x06" + b"\0" * 18,
    "cut": zipped(("schema.json", b"{}"))[:-9],
}
READERS: dict[str, Callable[[bytes], object]] = {
    "scikit-learn": sklearn_files.load,
    "trees": symmetric_file.read_trees,
    "PyTorch": torch_programs.settle,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("archive", ARCHIVES)
def test_an_archive_that_would_lead_elsewhere_is_refused_and_leaves_nothing(
    archive: str, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OctavoError):
        READERS[reader](ARCHIVES[archive])
    assert list(tmp_path.rglob("*")) == []
    assert not (tmp_path.parent / "planted").exists()
    assert not Path("/tmp/planted").exists()


@pytest.mark.parametrize("reader", ["scikit-learn", "PyTorch"])
def test_a_bomb_is_refused_before_it_goes_off(reader: str) -> None:
    bomb = zipped(("schema.json", b"\0" * BOMB), packed=True)
    assert len(bomb) < BOMB / 500
    tracemalloc.start()
    try:
        with pytest.raises(OctavoError):
            READERS[reader](bomb)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 50_000_000


def test_nothing_in_the_program_unpacks_an_archive() -> None:
    """But what git packs of the project's own commits, into a folder of its own, for `octavo runs reproduce`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = parsed(path)
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        found = [ast.unparse(one) for one in calls if ast.unparse(one.func).rpartition(".")[2] in UNPACKS]
        assert [one for one in found if one != OWN_COMMIT] == [], path


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    artifacts = MemoryArtifacts()
    return fetch_bundle(artifacts, publish_bundle(artifacts), into=tmp_path)


def _folder(card: Path, elsewhere: Path) -> None:
    card.unlink()
    card.mkdir()


def _link(card: Path, elsewhere: Path) -> None:
    card.rename(elsewhere)
    card.symlink_to(elsewhere)


def _hard_link(card: Path, elsewhere: Path) -> None:
    os.link(card, elsewhere)


def _pipe(card: Path, elsewhere: Path) -> None:
    card.unlink()
    os.mkfifo(card)


@pytest.mark.parametrize("attack", [_folder, _link, _hard_link, _pipe])
def test_what_stands_in_a_bundle_is_a_file_of_its_own(
    bundle: Bundle, tmp_path: Path, attack: Callable[[Path, Path], None]
) -> None:
    attack(bundle.path / "card.md", tmp_path / "elsewhere")
    with pytest.raises(IntegrityError):
        open_bundle(bundle.path, digest=bundle.digest)
