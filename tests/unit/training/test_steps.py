"""Steps: run in processes of their own, as parts of a run, each result kept by what it was made of."""

import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.training import kitchen
from tests.workshop import Workshop, boosted, declare, open_workshop

import octavo as oc
from octavo.definitions.steps import Pending
from octavo.errors import InvalidDefinition, TrainingFailed
from octavo.processes import is_alive
from octavo.training.fit import train
from octavo.training.runs import Run, RunStatus
from octavo.training.steps.jobs import Ending, Job, Outcome, Stopped
from octavo.training.steps.results import StepResult
from octavo.training.steps.running import CACHED_FROM, RESULT, STEP, TRIES, running_steps

PATIENCE_S = 60.0


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return open_workshop(tmp_path, declare(boosted), events=0)


@pytest.fixture
def notes(tmp_path: Path) -> str:
    """A folder in which steps note that they were called."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return str(folder)


def in_run(workshop: Workshop, call: Callable[[], Any], *, run: str = "r1", **settings: Any) -> Any:
    """What a training function would get by the call, in a run."""
    now = workshop.now
    training = Run(id=run, model="boosted", status=RunStatus.RUNNING, trigger="user", as_of=now, started_at=now)
    with running_steps(workshop.context, training, **settings) as steps:
        made = oc.result(call())
        steps.wait()
    return made


def calls_of(notes: str, what: str) -> int:
    place = Path(notes) / what
    return len(place.read_text().splitlines()) if place.exists() else 0


def runs_of(workshop: Workshop, parent: str = "r1") -> list[Run]:
    with workshop.context.transaction() as tx:
        return tx.find(Run, parent=parent)


def until(holds: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "in vain"
        time.sleep(0.01)


def test_where_no_training_runs_a_step_is_the_plain_function(notes: str) -> None:
    made = kitchen.double(np.arange(3.0), notes)
    assert isinstance(made, np.ndarray)
    assert oc.result(made) is made
    assert kitchen.total(notes, made, made) == 12.0
    assert Path(notes, "double").read_text() == f"{os.getpid()}\n"


def test_in_a_training_steps_run_elsewhere_and_give_each_other_what_they_make(workshop: Workshop, notes: str) -> None:
    def graph() -> Any:
        parts = [kitchen.double(np.arange(float(n)), notes) for n in (3, 4)]
        assert isinstance(parts[0], Pending)
        return kitchen.total(notes, *parts)

    assert in_run(workshop, graph) == 18.0
    pids = Path(notes, "double").read_text().split() + Path(notes, "total").read_text().split()
    assert len(set(pids)) == 3
    assert str(os.getpid()) not in pids


def test_steps_that_do_not_need_each_other_run_at_the_same_time(workshop: Workshop, notes: str) -> None:
    def both() -> Any:
        return [oc.result(one) for one in [kitchen.meeting(notes, "a", "b"), kitchen.meeting(notes, "b", "a")]]

    assert in_run(workshop, both, at_once=2) == ["a", "b"]


def test_no_more_run_at_a_time_than_is_allowed(workshop: Workshop, notes: str) -> None:
    def three() -> Any:
        return [oc.result(one) for one in [kitchen.double(np.arange(float(n)), notes) for n in (1, 2, 3)]]

    running: list[int] = []

    class Counting:
        def run(self, job: Job, *, folder: Path, stopped: Stopped) -> Outcome:
            running.append(1)
            assert len(running) == 1
            assert not stopped.wait(0.02)
            running.pop()
            return Outcome(ending=Ending.DONE, result=1)

    assert in_run(workshop, three, at_once=1, executor=Counting()) == [1, 1, 1]


def test_each_step_is_a_run_with_the_training_as_its_parent(workshop: Workshop) -> None:
    in_run(workshop, lambda: kitchen.describe(oc.Dataset(columns=("a",), **_rows()), depth=7))
    [step] = runs_of(workshop)
    assert (step.name, step.status, step.experiment, step.model) == ("describe", RunStatus.SUCCEEDED, "boosted", "")
    assert step.params == {"depth": "7"}
    assert step.tags == {STEP: "describe", TRIES: "1"}
    assert step.seconds > 0
    assert workshop.context.stores.artifacts.get(step.artifacts[RESULT])


def test_a_dataset_arrives_as_it_was_given(workshop: Workshop) -> None:
    given = oc.Dataset(columns=("a", "b"), categories={"b": ("x", "y")}, **_rows())
    made = in_run(workshop, lambda: kitchen.describe(given))
    assert made == {"rows": 3, "columns": ("a", "b"), "words": {"b": ("x", "y")}, "depth": 3}


def test_what_becomes_of_an_argument_after_the_call_is_not_seen_by_the_step(workshop: Workshop, notes: str) -> None:
    def spoiling() -> Any:
        values = np.arange(3.0)
        doubled = kitchen.double(values, notes)
        values[:] = 100.0
        return doubled

    assert in_run(workshop, spoiling).tolist() == [0.0, 2.0, 4.0]


def test_a_later_training_takes_the_result_of_the_same_code_and_inputs(workshop: Workshop, notes: str) -> None:
    call = lambda: kitchen.double(np.arange(3.0), notes)  # noqa: E731 - called twice
    first, again = in_run(workshop, call), in_run(workshop, call, run="r2")
    assert first.tolist() == again.tolist()
    assert calls_of(notes, "double") == 1
    [made], [taken] = runs_of(workshop, "r1"), runs_of(workshop, "r2")
    assert taken.tags == {STEP: "double", CACHED_FROM: made.id}
    assert taken.artifacts == made.artifacts


def test_other_inputs_are_another_result(workshop: Workshop, notes: str) -> None:
    in_run(workshop, lambda: kitchen.double(np.arange(3.0), notes))
    in_run(workshop, lambda: kitchen.double(np.arange(3), notes), run="r2")
    assert calls_of(notes, "double") == 2


def test_other_code_of_what_a_step_uses_is_another_result(
    workshop: Workshop, notes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_by(module: Any, run: str) -> float:
        return float(in_run(workshop, lambda: module.double(np.arange(3.0), notes), run=run).sum())

    text = Path(kitchen.__file__).read_text()
    first = _module(tmp_path / "one", text, monkeypatch)
    assert made_by(first, "r1") == 6.0
    assert made_by(_module(tmp_path / "two", text + "\nUNUSED = 1\n", monkeypatch), "r2") == 6.0
    assert calls_of(notes, "double") == 1, "what it does not use does not count"
    assert made_by(_module(tmp_path / "three", text.replace("FACTOR = 2.0", "FACTOR = 3.0"), monkeypatch), "r3") == 9.0
    assert (
        made_by(_module(tmp_path / "four", text.replace("values * factor", "values + factor"), monkeypatch), "r4")
        == 9.0
    )
    assert calls_of(notes, "double") == 3


def test_code_that_changes_between_the_start_of_a_training_and_a_step_is_refused(
    workshop: Workshop, notes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(kitchen.__file__).read_text()
    module = _module(tmp_path / "one", text, monkeypatch)
    Path(module.__file__).write_text(text.replace("FACTOR = 2.0", "FACTOR = 3.0"))
    with pytest.raises(TrainingFailed, match=r"the code of step 'double' changed in .* while the training ran"):
        in_run(workshop, lambda: module.double(np.arange(3.0), notes))


@pytest.mark.parametrize("step", ["fresh", "unsure"])
def test_a_step_that_is_not_cached_is_run_anew_by_each_training_but_once_by_one(
    workshop: Workshop, notes: str, step: str
) -> None:
    call = lambda: getattr(kitchen, step)(notes)  # noqa: E731 - called thrice
    assert [in_run(workshop, call), in_run(workshop, call), in_run(workshop, call, run="r2")] == [1, 1, 2]


def test_a_result_that_is_lost_is_made_again(workshop: Workshop, notes: str) -> None:
    call = lambda: kitchen.double(np.arange(3.0), notes)  # noqa: E731 - called twice
    in_run(workshop, call)
    with workshop.context.transaction() as tx:
        [kept] = tx.find(StepResult)
    del workshop.context.stores.artifacts._bytes[kept.result]  # type: ignore[attr-defined]  # of the store in memory
    assert in_run(workshop, call, run="r2").tolist() == [0.0, 2.0, 4.0]
    assert calls_of(notes, "double") == 2


def test_a_step_that_fails_is_tried_again_and_says_so(workshop: Workshop, notes: str) -> None:
    assert in_run(workshop, lambda: kitchen.shaky(notes, 1)) == "done"
    [step] = runs_of(workshop)
    assert (step.status, step.tags[TRIES]) == (RunStatus.SUCCEEDED, "2")
    assert workshop.context.stores.artifacts.get(step.log) == b"this is the step's own word\n"


def test_a_step_that_keeps_failing_fails_the_training_with_its_reason(workshop: Workshop, notes: str) -> None:
    with pytest.raises(
        TrainingFailed, match=r"(?s)step 'shaky' raised OSError: the oven is cold.*kitchen\.py.*tried 3"
    ):
        in_run(workshop, lambda: kitchen.shaky(notes, 9))
    assert calls_of(notes, "shaky") == 3
    [step] = runs_of(workshop)
    assert (step.status, step.tags[TRIES]) == (RunStatus.FAILED, "3")
    assert b"Traceback" in workshop.context.stores.artifacts.get(step.log)


def test_what_needs_a_step_that_failed_is_not_run(workshop: Workshop, notes: str) -> None:
    with pytest.raises(TrainingFailed, match="step 'dying' was ended by SIGKILL"):
        in_run(workshop, lambda: kitchen.total(notes, kitchen.dying()))
    assert calls_of(notes, "total") == 0
    assert [step.name for step in runs_of(workshop)] == ["dying"]


def test_a_step_that_nobody_takes_the_result_of_still_fails_the_training(workshop: Workshop) -> None:
    with pytest.raises(TrainingFailed, match="step 'dying'"):
        in_run(workshop, lambda: [kitchen.dying()][1:])


def test_a_step_that_takes_too_long_is_ended_with_all_that_it_started(workshop: Workshop, notes: str) -> None:
    with pytest.raises(TrainingFailed, match="'endless' took longer than the 3 s that it may take"):
        in_run(workshop, lambda: kitchen.endless(notes))
    until(lambda: not Path(notes, "child").exists() or _is_gone(Path(notes, "child")))


def test_a_step_may_not_take_more_memory_than_is_allowed(workshop: Workshop) -> None:
    with pytest.raises(TrainingFailed, match=r"'greedy' needed more memory than the 600,000,000 bytes"):
        in_run(workshop, kitchen.greedy)


def test_a_training_that_is_interrupted_leaves_nothing_running(workshop: Workshop, notes: str) -> None:
    def interrupted() -> Any:
        kitchen.waiting(notes)
        until(lambda: Path(notes, "child").exists() and Path(notes, "child").read_text())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_run(workshop, interrupted)
    until(lambda: _is_gone(Path(notes, "child")))
    [step] = runs_of(workshop)
    assert step.status is RunStatus.KILLED
    assert not list((workshop.context.config.home / "steps").iterdir())


def test_a_run_that_is_taken_up_again_begins_with_the_step_that_was_not_done(workshop: Workshop, notes: str) -> None:
    def half() -> Any:
        oc.result(kitchen.double(np.arange(3.0), notes))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_run(workshop, half)
    whole = lambda: kitchen.total(notes, kitchen.double(np.arange(3.0), notes))  # noqa: E731 - the rest of it
    assert in_run(workshop, whole) == 6.0
    assert calls_of(notes, "double") == 1
    assert [step.name for step in runs_of(workshop)] == ["double", "total"], "each once"


def test_steps_that_a_dead_process_left_open_are_closed(workshop: Workshop) -> None:
    now = workshop.now
    left = Run(
        id="s1", model="", name="double", parent="r1", tags={STEP: "double"}, status=RunStatus.RUNNING, trigger="user",
        as_of=now, started_at=now,
    )  # fmt: skip
    with workshop.context.transaction() as tx:
        tx.put(left)
    in_run(workshop, lambda: None)
    [closed] = runs_of(workshop)
    assert (closed.status, closed.error) == (RunStatus.KILLED, "the process that trained ended before it")


def test_what_is_no_data_is_refused_with_what_to_do(workshop: Workshop, notes: str) -> None:
    with pytest.raises(TrainingFailed, match="what step 'opaque' returned holds a function, which cannot be kept"):
        in_run(workshop, kitchen.opaque)
    with pytest.raises(TrainingFailed, match=r"what step 'double' is given holds a .*Event.*tables of Arrow"):
        in_run(workshop, lambda: kitchen.double(threading.Event(), notes))


@pytest.mark.parametrize(
    "use", [len, bool, list, lambda made: made.X, lambda made: made[0], lambda made: np.asarray(made)]
)
def test_a_result_that_is_used_too_early_says_how_to_wait_for_it(
    workshop: Workshop, notes: str, use: Callable[[Any], Any]
) -> None:
    with pytest.raises(TrainingFailed, match=r"of what step 'double' returns, .*oc\.result"):
        in_run(workshop, lambda: use(kitchen.double(np.arange(3.0), notes)))


def test_a_step_that_its_process_would_not_find_is_refused(workshop: Workshop) -> None:
    @oc.step
    def inner() -> int:
        return 1

    with pytest.raises(TrainingFailed, match="'inner' is not at the top of module"):
        in_run(workshop, inner)


@pytest.mark.parametrize("settings", [{"retries": -1}, {"timeout": "soon"}, {"memory": "much"}, {"pause": "0s"}])
def test_a_step_that_cannot_be_right_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidDefinition):
        oc.step(**settings)(boosted)


def test_what_is_loaded_already_makes_no_other_code(workshop: Workshop) -> None:
    importlib.import_module("lightgbm")  # which the step imports itself
    given = oc.Dataset(columns=("a",), **_rows())
    assert in_run(workshop, lambda: kitchen.fitted(given, 2)).max_depth == 2


def test_a_value_that_the_training_changed_is_not_silently_another_in_the_step(
    workshop: Workshop, notes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kitchen, "FACTOR", 5.0)
    with pytest.raises(TrainingFailed, match="or the training has changed a value that it refers to"):
        in_run(workshop, lambda: kitchen.double(np.arange(3.0), notes))


STEP_OF_THIS_MODULE = kitchen.scaled


def test_another_code_of_a_step_is_another_definition_of_the_model() -> None:
    def one(train: oc.Dataset) -> Any:
        return STEP_OF_THIS_MODULE(train)

    assert "def scaled(train):" in declare(one).source_code
    assert declare(one).source_code.startswith("def one(")


def in_steps(train: oc.Dataset, *, depth: int = 3) -> Any:
    """What is spent, in two steps."""
    return kitchen.fitted(kitchen.scaled(train), depth=depth)


def test_a_model_is_trained_by_steps_and_by_its_parameters(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(in_steps))
    asked = Run(
        id="asked", model="in_steps", status=RunStatus.REQUESTED, trigger="user", as_of=workshop.now,
        started_at=workshop.now, params={"depth": "2"},
    )  # fmt: skip
    trained = train(workshop.context, workshop.model, as_of=workshop.now, run=asked)
    assert trained.run.params == {"depth": "2"}
    assert trained.estimator.max_depth == 2
    assert trained.report.metrics["mae"].value < trained.report.baselines["constant"]["mae"].value
    fit = next(step for step in runs_of(workshop, "asked") if step.name == "fitted")
    assert fit.params == {"depth": "2"}


def _rows() -> dict[str, Any]:
    moments = np.arange(3).astype("datetime64[us]")
    return {"X": np.array([[1.0], [np.nan], [3.0]]), "y": np.arange(3.0), "times": moments}


def _module(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The kitchen, loaded from another file under one name."""
    folder.mkdir()
    file = folder / "kitchen_of_test.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("kitchen_of_test", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kitchen_of_test", module)
    spec.loader.exec_module(module)
    return module


def _is_gone(file: Path) -> bool:
    pid = int(file.read_text())
    if not is_alive(pid):
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
