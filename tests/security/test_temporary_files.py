"""What is staged is staged where nobody else can see, foresee or change it."""

import ast
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import octavo
from octavo.errors import IntegrityError
from octavo.registry.bundles import fetch_bundle, open_bundle
from octavo.stores.memory import MemoryArtifacts
from octavo.stores.objects import ObjectArtifacts
from tests.security.sites import parsed
from tests.serving.bundles import publish_bundle

PACKAGE = Path(octavo.__file__).parent
OPEN_TO_OTHERS = 0o077
GUESSABLE = {"tempfile.mktemp", "os.tempnam", "os.tmpnam", "tempfile.gettempdir"}


def test_no_name_of_a_temporary_file_can_be_guessed() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        called = {ast.unparse(node.func) for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)}
        assert not called & GUESSABLE, path
        assert '"/tmp' not in text or path.parts[-2] == "cli" or "Examples" in text, path


def test_every_process_makes_files_for_its_owner() -> None:
    mains = [PACKAGE / one for one in ("api/process.py", "loop/__main__.py", "serving/process.py")]
    assert all("os.umask(0o077)" in one.read_text(encoding="utf-8") for one in mains)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("chmod", "mkdir", "umask")):
                modes = [
                    one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and type(one.value) is int
                ]
                modes = [mode for mode in modes if mode > 7]
                assert all(not mode & 0o022 or mode == 0o077 for mode in modes), (path, modes)


def test_a_bundle_is_fetched_in_a_folder_of_its_owner(tmp_path: Path) -> None:
    artifacts = MemoryArtifacts()
    old = os.umask(0)  # the worst that can be
    try:
        bundle = fetch_bundle(artifacts, publish_bundle(artifacts), into=tmp_path / "models")
    finally:
        os.umask(old)
    assert bundle.path.stat().st_mode & OPEN_TO_OTHERS == 0
    assert [path.name for path in (tmp_path / "models").iterdir()] == [bundle.path.name]


def test_another_user_cannot_swap_what_was_fetched(tmp_path: Path) -> None:
    """Nor would it be loaded if they could: what is read is what was verified, and that again at each opening."""
    if os.getuid() != 0:
        pytest.skip("only root can act as another user")
    artifacts = MemoryArtifacts()
    digest = publish_bundle(artifacts)
    tmp_path.chmod(0o755)
    bundle = fetch_bundle(artifacts, digest, into=tmp_path / "models")
    attack = (
        "import os, sys; os.setgid(65534); os.setuid(65534)\ntry: open(sys.argv[1], 'w')\nexcept OSError: sys.exit(13)"
    )
    done = subprocess.run(
        [sys.executable, "-c", attack, str(bundle.path / "card.md")], check=False, capture_output=True
    )
    assert done.returncode == 13
    (bundle.path / "card.md").write_text("swapped", encoding="utf-8")
    with pytest.raises(IntegrityError):
        open_bundle(bundle.path, digest=digest)


def test_a_link_in_the_way_of_a_file_is_not_written_through(tmp_path: Path) -> None:
    """What stands in the place of an artifact is replaced, not followed."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    store = ObjectArtifacts(tmp_path / "artifacts")
    (tmp_path / "artifacts" / "published" / "deployments").mkdir(parents=True)
    (tmp_path / "artifacts" / "published" / "deployments" / "eta.json").symlink_to(victim)
    store.publish("deployments/eta.json", b"new")
    assert victim.read_bytes() == b"untouched"
    assert not stat.S_ISLNK((tmp_path / "artifacts" / "published" / "deployments" / "eta.json").lstat().st_mode)
