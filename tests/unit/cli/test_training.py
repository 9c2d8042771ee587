"""Trainings by the command line: parameters, once, steps, sweeps, and what is written for Airflow."""

import ast
import re
from pathlib import Path

import pytest
from tests.unit.cli.shop import MODULE, Shop

from octavo.training.runs import Run, RunStatus

_IN_STEPS = MODULE.replace(
    "@oc.model(",
    """@oc.step
def chosen(train, trees):
    return {"trees": trees, "rows": len(train)}


@oc.model(""",
).replace(
    '    """What a visitor spends."""\n', '    """What a visitor spends."""\n    oc.result(chosen(train, trees))\n'
)


def runs(shop: Shop, **equal: object) -> list[Run]:
    with shop.context() as context, context.transaction() as tx:
        return tx.find(Run, **equal)


def test_a_training_that_is_done_once_answers_what_it_made(shop: Shop) -> None:
    asked = ("train", "spending", "--param", "trees=3", "--as-of", "2030-01-20T00:00:00Z", "--once", "nightly 7")
    first, again = shop.json(*asked), shop.json(*asked)
    assert first["version"] == again["version"]
    assert (first["run"]["params"], first["run"]["as_of"]) == ({"trees": "3"}, "2030-01-20T00:00:00Z")
    assert shop.json(*asked[:-1], "nightly 8")["version"]["version"] == first["version"]["version"] + 1


def test_what_cannot_be_trained_is_refused_before_anything_is_done(shop: Shop) -> None:
    before = len(runs(shop))
    for option, words in [
        (("--param", "depth=3"), "no parameter 'depth'; there are: trees"),
        (("--param", "trees"), "is no pair"),
        (("--as-of", "2031-01-01T00:00:00Z"), "not known yet"),
    ]:
        result = shop.run("train", "spending", *option)
        assert result.exit_code == 5, result.output
        assert words in result.stderr
    assert len(runs(shop)) == before


def test_a_version_that_does_not_pass_its_gates_is_an_error_where_that_is_asked_for(shop: Shop) -> None:
    (shop.folder / "project.py").write_text(MODULE.replace('oc.better_than_baseline("mae")', 'oc.at_most("mae", 0)'))
    result = shop.run("train", "spending", "--gates", "--release")
    assert result.exit_code == 9, result.output
    assert "did not pass at_most(mae, 0)" in result.stderr


def test_a_step_that_was_run_alone_is_taken_by_the_training(shop: Shop) -> None:
    (shop.folder / "project.py").write_text(_IN_STEPS)
    asked = ("train", "spending", "--as-of", "2030-01-20T00:00:00Z", "--once", "dag 1")
    done = shop.json(*asked, "--step", "0")
    assert (done["status"], done["name"], done["trigger"]) == ("succeeded", "step 0 of spending", "dag 1")
    trained = shop.json(*asked)
    [step] = runs(shop, parent=trained["run"]["id"])
    [made] = runs(shop, parent=done["id"])
    assert step.tags["octavo.cached_from"] == made.id
    assert shop.run(*asked, "--step", "1").exit_code == 5


def test_a_sweep_ends_with_a_version_by_the_best_parameters(shop: Shop) -> None:
    swept = shop.json("sweep", "spending", "--param", "trees=int:1..40", "--trials", "3", "--parallel", "2")
    best, version, run = swept["sweep"]["best"], swept["trained"]["version"], swept["trained"]["run"]
    assert best["value"] == min(trial["value"] for trial in swept["sweep"]["trials"])
    assert (run["params"], run["parent"]) == (best["params"], swept["sweep"]["run"]["id"])
    assert version["run"] == run["id"]
    assert version["gates"], "the same gates as for any other"
    trials = runs(shop, parent=run["parent"])
    assert [trial.status for trial in trials if not trial.model] == [RunStatus.SUCCEEDED] * 3
    assert not list((shop.folder / ".octavo" / "steps").iterdir())


def test_a_sweep_without_ranges_says_how_to_give_some(shop: Shop) -> None:
    result = shop.run("sweep", "spending")
    assert result.exit_code == 5
    assert "declares no sweep, and no range is given" in result.stderr
    assert "depth=int:2..10" in result.stderr


def test_a_dag_is_a_file_of_python_for_the_project_here(shop: Shop) -> None:
    [written] = shop.json("export", "airflow", "--model", "spending")
    text = Path(shop.folder, written["file"]).read_text()
    ast.parse(text)
    assert str(shop.folder.resolve()) in text
    assert written["dag"] == "octavo_shops_spending"


def test_an_interrupted_sweep_says_how_to_go_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("octavo.training.sweeps._Search.run", interrupted)
        stopped = shop.run("sweep", "spending", "--param", "trees=int:2..4", "--trials", "1", "--no-train")
    told = re.search(r"octavo (sweep spending --resume \S+)", stopped.stderr)
    assert (stopped.exit_code, told is not None) == (130, True), stopped.output
    assert "sweep (KeyboardInterrupt)" in shop.done("runs")
    assert "Best of 1 trials" in shop.done(*told[1].split(), "--no-train")
