"""What holds for all commands, found by walking through the catalogue."""

import json
import re
from collections.abc import Iterator

import pytest
from tests.unit.cli.calls import ANSWER, CALLS, UNTIL_STOPPED
from tests.unit.cli.commands import Path, answers, every_command
from tests.unit.cli.shop import Shop
from tests.unit.client.scripted import Reply, scripted_server
from typer.testing import CliRunner

from octavo.cli.app import app
from octavo.cli.catalogue import ENTRIES

COMMANDS = dict(every_command())
ANSWERING = [path for path, command in COMMANDS.items() if answers(command)]


def name_of(path: Path) -> str:
    return " ".join(path)


each_call = pytest.mark.parametrize("path", CALLS, ids=name_of)


@pytest.fixture
def processes(shop: Shop) -> Iterator[None]:
    """A server that is found as the project's predictor and console."""
    with scripted_server(Reply(body=ANSWER)) as server:
        shop.announce("predictor", server.url)
        shop.announce("control", server.url)
        yield


def test_each_command_is_called_by_these_tests() -> None:
    assert set(ANSWERING) == set(CALLS) | UNTIL_STOPPED


@pytest.mark.parametrize("path", ANSWERING, ids=name_of)
def test_its_help_says_what_it_does_with_an_example_and_what_comes_next(path: Path) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert re.search(rf"Examples?:\n\s+octavo {name_of(path)}", result.stdout)
    assert re.search(r"Next[^\n]*:\n\s+\w+", result.stdout)
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("path", COMMANDS, ids=name_of)
def test_its_help_names_values_by_words_and_cuts_nothing_off(path: Path) -> None:
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"}).stdout
    assert not re.search(r"[{}<>]|\[\[", shown.partition("\n\n")[0])
    assert not re.search(
        r"^  \S.* <", shown.partition("\nArguments:")[2] or shown.partition("\nOptions:")[2], re.MULTILINE
    )
    assert not [line for line in shown.partition("Commands:")[2].splitlines() if line.endswith("...")]


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_the_list_of_commands_says_what_the_command_says(entry) -> None:  # type: ignore[no-untyped-def]  # of pytest
    assert COMMANDS[(entry.name,)].help.partition("\n")[0] == entry.summary


@pytest.mark.parametrize("path", ANSWERING, ids=name_of)
def test_programs_can_ask_for_json(path: Path) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[path].params)


@each_call
@pytest.mark.usefixtures("processes")
def test_it_answers_programs_with_json_and_nothing_else(path: Path, shop: Shop) -> None:
    result = shop.run(*path, *CALLS[path](shop), "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    json.loads(result.stdout)


@each_call
@pytest.mark.usefixtures("processes")
def test_it_answers_people_in_plain_lines_where_there_is_no_terminal(path: Path, shop: Shop) -> None:
    result = shop.run(*path, *CALLS[path](shop))
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    assert "\x1b" not in result.output
    assert not re.search("[│─┃━╭]", result.stdout)


@each_call
def test_outside_of_a_project_it_says_what_to_do(path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = CALLS[path](shop)
    monkeypatch.chdir(shop.folder.parent)
    result = shop.run(*path, *arguments, "--json")
    if path == ("new",):
        assert result.exit_code == 0
        return
    assert (result.exit_code, result.stdout) == (3, "")
    problem = json.loads(result.stderr)
    assert problem["code"] == "configuration"
    assert "octavo new" in problem["detail"]
