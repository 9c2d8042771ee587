"""octavo runs: found by conditions, seen in full, compared, fetched, delivered."""

import json
from pathlib import Path

import pytest
from tests.unit.cli.calls import CALLS
from tests.unit.cli.shop import Shop

import octavo as oc
from octavo.cli.run_views import sparkline


@pytest.fixture
def runs(empty_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two runs that were logged in the project's folder."""
    monkeypatch.delenv("OCTAVO_URL", raising=False)
    monkeypatch.chdir(empty_shop.folder)
    ids = []
    for depth in (6, 7):
        with oc.run(f"depth {depth}", params={"depth": depth, "rate": 0.1}, experiment="grid") as run:
            for step in range(40):
                run.log_metric("loss", depth / (step + 1))
            run.log_text("notes/a.txt", f"depth was {depth}\n")
        ids.append(run.id)
    return ids


def test_runs_are_found_by_conditions(empty_shop: Shop, runs: list[str]) -> None:
    found = json.loads(empty_shop.done("runs", "list", "--where", "params.depth > 6", "--json"))
    assert [run["name"] for run in found] == ["depth 7"]
    assert "depth 6" in empty_shop.done("runs", "--experiment", "grid", "--sort", "metrics.loss", "-n", "1")
    assert "No run is like that." in empty_shop.done("runs", "list", "--where", "params.depth > 8")


def test_a_condition_that_cannot_be_read_says_where(empty_shop: Shop) -> None:
    result = empty_shop.run("runs", "list", "--where", "depth > 6", "--json")
    problem = json.loads(result.stderr)
    assert (result.exit_code, problem["field"]) == (5, "where")
    assert "'depth' is no field" in problem["detail"]


def test_a_run_is_shown_by_the_end_of_its_id_with_its_histories(empty_shop: Shop, runs: list[str]) -> None:
    shown = empty_shop.done("runs", "show", runs[0][-8:])
    assert "█" in shown
    assert "notes/a.txt" in shown
    assert "octavo/environment.txt" in shown
    steps = json.loads(empty_shop.done("runs", "show", runs[0], "--metric", "loss", "--json"))
    assert len(steps) == 40
    assert empty_shop.run("runs", "show", runs[0], "--metric", "los").exit_code == 7
    assert empty_shop.run("runs", "show", runs[0], "--log").exit_code == 7


def test_a_comparison_holds_only_what_differs(empty_shop: Shop, runs: list[str]) -> None:
    shown = empty_shop.done("runs", "compare", *runs, "--baseline", runs[1])
    assert "params.depth" in shown
    assert "rate" not in shown
    assert "(-0.025)" in shown
    assert shown.index("depth 7") < shown.index("depth 6")


def test_files_are_fetched_and_never_overwritten(empty_shop: Shop, runs: list[str], tmp_path: Path) -> None:
    to = tmp_path / "there"
    empty_shop.done("runs", "download", runs[0], "notes", "--to", str(to))
    assert (to / "notes" / "a.txt").read_text() == "depth was 6\n"
    assert not (to / "octavo").exists()
    refused = empty_shop.run("runs", "download", runs[1], "--to", str(to))
    assert (refused.exit_code, "is there already" in refused.stderr) == (5, True)
    assert (to / "notes" / "a.txt").read_text() == "depth was 6\n"
    assert empty_shop.run("runs", "download", runs[0], "note", "--to", str(to)).exit_code == 7


def test_what_was_cut_off_is_delivered_once(shop: Shop) -> None:
    arguments = CALLS["runs", "deliver"](shop)
    for _ in range(2):
        found = json.loads(shop.done("runs", "deliver", *arguments, "--json"))
        assert (found["status"], found["params"]["rate"]) == ("killed", "0.1")
    assert len(json.loads(shop.done("runs", "show", found["id"], "--metric", "auc", "--json"))) == 1
    assert "plots/a.svg" in found["artifacts"]


@pytest.mark.parametrize("left", ["", "[]", '{"run": "x"}'])
def test_a_folder_that_no_run_left_is_refused(empty_shop: Shop, left: str) -> None:
    folder = empty_shop.folder / "left"
    folder.mkdir()
    (folder / "run.json").write_text(left)
    assert empty_shop.run("runs", "deliver", str(folder)).exit_code == 5


def test_a_history_is_drawn_in_24_blocks_with_gaps() -> None:
    assert sparkline([0.0, 0.5, 1.0]) == "▁▄█" or sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([1.0, float("nan"), 1.0, float("inf")]) == "▁ ▁ "
    assert len(sparkline(list(range(1_000)))) == 24
    assert sparkline([float("nan")]) == ""
    assert sparkline([-1.7e308, 1.7e308]) == "▁▁"
