"""Runs compared by what differs, and nothing else."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from tests.workshop import Workshop

from octavo.errors import InvalidRequest, NotFound
from octavo.training.runs import GitState, Run, RunStatus
from octavo.training.tracking.comparison import CompareRuns, Comparison, compare_runs


def run(workshop: Workshop, number: int, **fields: Any) -> str:
    now = workshop.now
    made = Run(
        id=f"{number:08x}-0000-7000-8000-000000000000", model="", status=RunStatus.SUCCEEDED, trigger="user", as_of=now,
        started_at=now, name=f"r{number}",
    )  # fmt: skip
    with workshop.context.stores.metadata.transaction() as tx:
        tx.add(replace(made, **fields))
    return made.id


def compare(workshop: Workshop, *runs: str, baseline: str | None = None) -> Comparison:
    return compare_runs(CompareRuns(runs=runs, baseline=baseline), workshop.context)


def kept(workshop: Workshop, text: str) -> str:
    return workshop.context.stores.artifacts.put(text.encode())


def test_only_what_differs_is_told(workshop: Workshop) -> None:
    one = run(workshop, 1, params={"depth": "6", "rate": "0.1"}, tags={"t": "x"}, metrics={"auc": 0.8, "n": 3.0})
    two = run(
        workshop, 2, params={"depth": "7", "rate": "0.1", "new": "1"}, tags={"t": "x"}, metrics={"auc": 0.9, "n": 3.0}
    )
    found = compare(workshop, one, two)
    assert [(row.name, row.values) for row in found.params] == [("depth", ("6", "7")), ("new", (None, "1"))]
    [auc] = found.metrics
    assert (auc.name, auc.values, auc.deltas[0]) == ("auc", (0.8, 0.9), None)
    assert auc.deltas[1] == pytest.approx(0.1)
    assert (found.facts, found.tags, found.code) == ((), (), ())
    assert (found.alike["params"], found.alike["tags"], found.alike["metrics"]) == (1, 1, 1)


def test_the_baseline_comes_first_wherever_it_was_named(workshop: Workshop) -> None:
    ids = [run(workshop, n, metrics={"auc": n / 10}) for n in (1, 2, 3)]
    found = compare(workshop, *ids, baseline=ids[2])
    assert [one.name for one in found.runs] == ["r3", "r1", "r2"]
    assert found.baseline.name == "r3"
    assert list(found.metrics[0].deltas[1:]) == pytest.approx([-0.2, -0.1])


def test_not_a_number_equals_itself_and_absence_does_not(workshop: Workshop) -> None:
    one = run(workshop, 1, metrics={"a": math.nan, "b": math.nan})
    two = run(workshop, 2, metrics={"a": math.nan})
    [b] = compare(workshop, one, two).metrics
    assert (b.name, b.values[1], b.deltas) == ("b", None, (None, None))


def test_packages_are_compared_one_by_one(workshop: Workshop) -> None:
    one = run(workshop, 1, environment=kept(workshop, "numpy==1.0\npandas==2.0\n"))
    two = run(workshop, 2, environment=kept(workshop, "numpy==1.1\npandas==2.0\nscipy==1.0\n"))
    found = compare(workshop, one, two)
    assert [(row.name, row.values) for row in found.packages] == [("numpy", ("1.0", "1.1")), ("scipy", (None, "1.0"))]
    assert found.alike["packages"] == 1


def test_the_projects_code_is_compared_line_by_line(workshop: Workshop) -> None:
    files = [{"octavo/code.json": kept(workshop, json.dumps({"p.py": f"depth = {n}\nrate = 1\n"}))} for n in (6, 7)]
    one, two = (run(workshop, n, artifacts=a) for n, a in enumerate(files))
    [code] = compare(workshop, one, two).code
    assert code.run == two
    assert "-depth = 6\n+depth = 7\n rate = 1" in code.text
    same = run(workshop, 5, artifacts=files[0])
    assert compare(workshop, one, same).code == ()


def test_without_the_code_the_commits_and_what_was_not_committed_are_compared(workshop: Workshop) -> None:
    diffs = [kept(workshop, f"+depth = {n}\n") for n in (6, 7)]
    one, two = (run(workshop, n, git=GitState(commit="a" * 40, dirty=True, diff=d)) for n, d in enumerate(diffs))
    later = run(workshop, 5, git=GitState(commit="b" * 40))
    assert compare(workshop, one, two).code[0].text.endswith("-+depth = 6\n++depth = 7")
    assert (
        compare(workshop, one, later).code[0].note
        == f"git diff {'a' * 12} {'b' * 12} shows what was committed between them"
    )
    unknown = run(workshop, 6)
    assert compare(workshop, one, unknown).code == ()


def test_a_run_alone_or_too_many_cannot_be_compared(workshop: Workshop) -> None:
    ids = [run(workshop, n) for n in range(21)]
    for some in (ids[:1], ids[:1] * 2, ids):
        with pytest.raises(InvalidRequest, match="cannot be compared"):
            compare(workshop, *some)
    with pytest.raises(NotFound):
        compare(workshop, ids[0], "ffffffff-0000-7000-8000-000000000000")
