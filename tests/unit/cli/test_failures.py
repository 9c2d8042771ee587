"""How commands fail: one line for people, one object for programs, and a code."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.shop import PREDICTION, Shop

from octavo import errors
from octavo.cli.app import app
from octavo.cli.failures import EXIT_CODES, INTERRUPTED, exit_code_of, tell
from octavo.errors import InvalidRequest, LimitExceeded, MissingExtra, NotFound, OctavoError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, OctavoError)]


def test_every_kind_of_error_has_an_exit_code_that_its_subclasses_share() -> None:
    without = [kind for kind in KINDS if not any(base in EXIT_CODES for base in kind.__mro__)]
    assert without == [OctavoError]
    assert exit_code_of(LimitExceeded("no")) == exit_code_of(InvalidRequest("no")) == 5
    assert exit_code_of(MissingExtra("trips", "the demo")) == 3
    assert exit_code_of(OctavoError("no")) == 1


def test_what_is_not_there_tells_some_of_what_is_and_how_much_more() -> None:
    names = [f"feature_{number:02}" for number in range(12)]
    assert str(NotFound("view", "xyz", names)).endswith("feature_08, feature_09 and 2 more")
    assert str(NotFound("view", "xyz", names[:10])).endswith("feature_08, feature_09")


def test_the_help_lists_every_exit_code(empty_shop: Shop) -> None:
    text = empty_shop.done("--help")
    assert [code for code in (*EXIT_CODES.values(), 0, 1, 2, 130) if f" {code} " not in text] == []


@pytest.mark.parametrize(
    ("line", "code", "exit_code"),
    [
        (["models", "show", "spendin"], "not_found", 7),
        (["models", "version", "spending", "9"], "not_found", 7),
        (["ingest", "visits.csv"], "not_found", 7),
        (["ingest", "octavo.toml", "--source", "visits"], "invalid_request", 5),
        (["outcomes", "--prediction", PREDICTION], "invalid_request", 5),
        (["monitor", "traffic", "till", "--since", "yesterday"], "invalid_request", 5),
        (["monitor", "compare", "till", "1", "--until", "2030-01-01T00:00:00"], "invalid_request", 5),
        (["deployments", "rollback", "till"], "conflict", 8),
        (["predict", "till", "[{}]"], "not_authenticated", 6),
        (["login"], "unavailable", 10),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_it_is_told_to_people_in_one_line_and_to_programs_as_an_object(
    line: list[str], code: str, exit_code: int, shop: Shop
) -> None:
    told, encoded = shop.run(*line), shop.run(*line, "--json")
    assert (told.exit_code, told.stdout) == (encoded.exit_code, encoded.stdout) == (exit_code, "")
    assert told.stderr.startswith(f"error {code}: ")
    assert told.stderr.count("\n") == 1
    problem = json.loads(encoded.stderr)
    assert (problem["code"], problem["exit_code"]) == (code, exit_code)
    assert problem["detail"]


def test_the_fix_stands_behind_what_is_wrong(shop: Shop) -> None:
    result = shop.run("outcomes", '{"prediction": "p", "valu": 1}')
    assert result.stderr == "error invalid_request: unknown field rows[0].valu; did you mean value?\n"
    problem = json.loads(shop.run("outcomes", '{"prediction": "p", "valu": 1}', "--json").stderr)
    assert (problem["field"], problem["fix"]) == ("rows[0].valu", "did you mean value?")


def test_a_name_that_is_nearly_right_is_suggested(shop: Shop) -> None:
    assert "did you mean 'spending'?" in shop.run("models", "show", "spendin").stderr


@pytest.mark.parametrize(("typed", "meant"), [(["trian"], "train"), (["deployments", "shwo"], "show")])
def test_a_command_that_is_nearly_right_is_suggested(typed: list[str], meant: str, empty_shop: Shop) -> None:
    result = empty_shop.run(*typed)
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'?" in result.stderr


def test_a_project_that_cannot_be_right_is_refused_with_the_reason(empty_shop: Shop) -> None:
    module = empty_shop.folder / "project.py"
    module.write_text(module.read_text().replace('oc.latest("spent"', 'oc.latest("spnt"'))
    result = empty_shop.run("plan")
    assert result.exit_code == 4
    assert "spnt" in result.stderr


def test_an_error_keeps_to_one_line_whatever_it_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    tell(NotFound("file", "two\nlines"), as_json=False)
    assert capsys.readouterr().err.count("\n") == 1


def test_what_nobody_foresaw_is_a_line_too_and_shows_where_it_arose_on_request(empty_shop: Shop) -> None:
    (empty_shop.folder / ".octavo").touch()
    octavo = Path(sys.executable).with_name("octavo")
    plain, verbose = (
        subprocess.run([octavo, *options, "models"], cwd=empty_shop.folder, capture_output=True, text=True, check=False)
        for options in ([], ["--verbose"])
    )
    assert (plain.returncode, plain.stdout) == (verbose.returncode, verbose.stdout) == (1, "")
    assert plain.stderr.startswith("error unexpected: FileExistsError")
    assert plain.stderr.count("\n") == 1
    assert "Traceback" in verbose.stderr


class _Interrupted(io.BytesIO):
    """An input at which the person presses Ctrl-C."""

    def read(self, *arguments: object) -> bytes:
        raise KeyboardInterrupt


@pytest.mark.usefixtures("shop")
def test_whoever_ends_a_command_is_told_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(_Interrupted()))
    with pytest.raises(SystemExit) as ended:
        app(["outcomes", "-"])
    assert (ended.value.code, capsys.readouterr().err) == (INTERRUPTED, "interrupted\n")


@pytest.mark.parametrize("module", ["octavo", "octavo.client.runs", "octavo.cli.app"])
def test_interrupted_while_it_loads_it_ends_with_a_line_too(module: str) -> None:
    program = f"""
import os, signal, sys

class Interrupting:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from octavo_command import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "interrupted\n")
