"""No name that anybody sends leads out of its folder, however it is written, and whichever door it comes by."""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.cli.run_files import place_of
from octavo.errors import InvalidRequest
from octavo.registry.bundles import is_safe_name
from octavo.stores.names import check_document_name, check_table, check_topic, hex_of
from octavo.stores.objects import ObjectArtifacts
from octavo.training.tracking.names import check_artifact
from tests.security.sites import FILES, Raw, files_below, post
from tests.servers import program
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import api

UPWARDS = [
    "..", "../..", "/etc/passwd", "//etc/passwd", "a/../../b", "./a", "a/./b", "a//b", "a/..", "..;/a",
    "..\\a", "a\\..\\b",
    "C:\\windows", "\\\\host\\share", "file:///etc/passwd", "~/a", "~root/a", "a\0b", "a\0/../b", "a\nb", "\ufeff../a",
    "a/\u2024\u2024/b", "\uff0e\uff0e/a", "..\u2215a", "a/", "/", "", ".", "....//a", "a/.../../b", "$HOME/a",
    "`id`", "|id",
    "a:b", "a*", "a?", "<a>",
]  # fmt: skip
ENCODINGS = ["..%2f", "%2e%2e%2f", "%252e%252e%252f", "..%5c", "%2e%2e/", "..%00/", "%c0%ae%c0%ae/", "..%u2215", "..;/"]
SECRET = b"root:x:0:0"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return empty_showroom(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def run(room: Showroom) -> str:
    made: str = post(api(room), "runs.create", name="x", experiment="y")["id"]
    return made


@pytest.mark.parametrize("name", UPWARDS)
def test_a_name_that_leads_elsewhere_is_no_name_of_anything(name: str) -> None:
    confined = Path("/srv/files")
    try:
        taken = check_artifact(name)
    except InvalidRequest:
        taken = None
    assert taken is None or (confined / taken).resolve().is_relative_to(confined)
    assert (taken is None) or os.path.normpath(taken) == taken
    assert not is_safe_name(name)
    for check in (check_document_name, check_table, check_topic, hex_of):
        with pytest.raises(InvalidRequest):
            check(name)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["..", ".", "/", "\\", "%", "2e", "a", "\0", ";", "~", ":", " ", "\u2024"]), max_size=12)
)
def test_what_is_a_name_stays_below_whatever_it_is_joined_to(parts: list[str]) -> None:
    name = "".join(parts)
    try:
        check_artifact(name)
    except InvalidRequest:
        return
    place = Path(os.path.normpath(f"/srv/files/{name}"))
    assert place.is_relative_to("/srv/files")
    assert place.parts == ("/", "srv", "files", *name.split("/"))


def test_files_of_runs_cannot_be_put_or_got_elsewhere(room: Showroom, run: str, tmp_path: Path) -> None:
    """Thousands of ways to write it: nothing is made outside, nothing outside is told."""
    ask, root = Raw(room), room.context.config.root
    tails = ["etc/passwd", "octavo.toml"]
    targets = [f"{FILES}/{quote(way)}" for way in UPWARDS]
    for encoding, depth, tail in product(ENCODINGS, (1, 8), tails):
        targets += [f"{FILES}/0/{run}/artifacts/{encoding * depth}{tail}", f"{FILES}/{encoding * depth}{tail}"]
        targets += [f"{FILES}?path={encoding * depth}{tail}", f"{FILES}?path=0/{run}/artifacts/{encoding * depth}"]
    targets += [f"{FILES}/0/{run}/artifacts/{quote(way)}" for way in UPWARDS]
    for target in targets:
        for method in ("GET", "PUT", "DELETE"):
            if method != "GET" and "?" in target:
                continue
            answer = ask(method, target, b"planted" if method == "PUT" else b"")
            assert answer.status < 500, (method, target, answer)
            assert SECRET not in answer.body
    for way in (*UPWARDS, *ENCODINGS):
        door = api(room)
        for operation, more in (("runs.put", {"data": "AAAA"}), ("runs.artifact", {}), ("runs.drop", {})):
            told = door.post(f"/api/{operation}", json={"run": run, "name": way, **more})
            assert told.status_code < 500, (operation, way, told.text)
    assert b"planted" not in files_below(root.parent).values()
    names = [entry["name"] for entry in post(api(room), "runs.artifacts", run=run)]
    assert all(check_artifact(name) == name for name in names)


@pytest.mark.parametrize("way", [*UPWARDS, *ENCODINGS])
def test_the_consoles_files_and_the_static_ones_are_those_that_are_listed(room: Showroom, run: str, way: str) -> None:
    ask = Raw(room)
    for target in (
        f"/static/{quote(way)}",
        f"/static/{way.encode('ascii', 'ignore').decode()}",
        f"/events/{quote(way)}",
    ):
        answer = ask("GET", target)
        assert answer.status in (303, 401, 404, 405), (target, answer)
        assert SECRET not in answer.body


@pytest.mark.parametrize("name", ["../a", "/etc/a", "a/../../b", "a\\..\\b", "a\0", "..", ""])
def test_a_server_that_lies_about_names_writes_nothing_elsewhere(tmp_path: Path, name: str) -> None:
    """What `octavo runs download` is told is not believed either."""
    with pytest.raises(InvalidRequest):
        place_of(tmp_path, name)


def test_what_is_downloaded_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    into = tmp_path / "into"
    into.mkdir()
    (into / "plots").symlink_to(outside)
    with pytest.raises(InvalidRequest, match="leads out of"):
        place_of(into, "plots/roc.svg")
    assert place_of(into, "other/roc.svg") == into / "other" / "roc.svg"


PUTS = """
import sys
from pathlib import Path
from octavo.errors import OctavoError
from octavo.stores.objects import ObjectArtifacts
store = ObjectArtifacts(Path(sys.argv[1]))
Path(sys.argv[1], "begins").touch()
for name in open(sys.argv[2], encoding="utf-8").read().split("\\x1e"):
    for call in (lambda: store.publish(name, b"x"), lambda: store.published(name), lambda: store.get(name)):
        try:
            call()
        except OctavoError:
            pass
"""


def test_the_system_sees_no_path_outside_the_folder_opened(tmp_path: Path) -> None:
    """By what the kernel is asked for, not by what the code says."""
    strace = program("strace")
    names, trace = tmp_path / "names", tmp_path / "trace"
    names.write_text("\x1e".join([*UPWARDS, *ENCODINGS, "deployments/eta.json"]), encoding="utf-8")
    folder = tmp_path / "artifacts"
    command = [strace, "-f", "-qq", "-e", "trace=open,openat,openat2,rename,renameat2,mkdir,mkdirat,link,unlink"]
    command += ["-o", str(trace), sys.executable, "-c", PUTS, str(folder), str(names)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    told = trace.read_text(errors="replace").partition(f'"{folder}/begins"')[2].partition("\n")[2]
    changing = [line for line in told.splitlines() if "O_CREAT" in line or "rename" in line or "mkdir" in line]
    assert changing, "the name that is right is written"
    assert [line for line in changing if f'"{folder}/' not in line] == []
    assert not [line for line in told.splitlines() if '"/etc/passwd"' in line or '"/etc/shadow"' in line]


def test_a_link_in_the_place_of_an_artifact_is_not_handed_out(tmp_path: Path) -> None:
    store = ObjectArtifacts(tmp_path / "artifacts")
    digest = store.put(b"what was kept")
    [kept] = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    secret = tmp_path / "secret"
    secret.write_bytes(b"what nobody asked for")
    kept.unlink()
    kept.symlink_to(secret)
    with pytest.raises(Exception, match=r"not what was kept|cannot be reached"):
        store.get(digest)
