"""What is collected of a project's artifacts, when it is not, and what is recorded of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.workshop import Workshop, boosted, declare, in_transaction, open_workshop

from octavo.clock import ManualClock
from octavo.errors import IntegrityError, InvalidRequest, NotAllowed
from octavo.governance.collection import CollectArtifacts, Collected, collect, operations
from octavo.operations import Context, Dispatcher, Principal
from octavo.stores.memory import MemoryArtifacts
from octavo.stores.names import digest_of
from octavo.stores.ports import KeptBytes
from octavo.training.runs import Run, RunStatus
from octavo.training.steps.results import StepResult, find_result, keep_result
from octavo.training.steps.running import RESULT
from octavo.training.tracking.artifacts import DropRunArtifact, PutRunArtifact, drop_artifact, put_artifact
from octavo.training.tracking.operations import CreateRun, DeleteRun, create_run, delete_run

DAY = timedelta(days=1)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return open_workshop(tmp_path, declare(boosted), events=0)


def over(workshop: Workshop, artifacts: MemoryArtifacts) -> Context:
    """The workshop's context over other artifacts."""
    return replace(workshop.context, stores=replace(workshop.context.stores, artifacts=artifacts))


def kept_by(context: Context) -> MemoryArtifacts:
    artifacts = context.stores.artifacts
    assert isinstance(artifacts, MemoryArtifacts)
    return artifacts


def aged(context: Context, by: timedelta = 30 * DAY) -> None:
    """Have all artifacts been put longer ago."""
    artifacts = kept_by(context)
    artifacts.put_at.update({digest: at - by for digest, at in artifacts.put_at.items()})


def collected(context: Context, **asked: Any) -> Collected:
    answer = Dispatcher(operations, context).call(CollectArtifacts(**asked), context.principal)
    assert isinstance(answer, Collected)
    return answer


def digests(found: Collected) -> set[str]:
    return {one.digest for one in found.found}


def audit_of(context: Context) -> list[tuple[str, str, str]]:
    with context.transaction() as tx:
        return [(event.operation, event.outcome, event.target) for event in tx.audit(newest_first=False)]


def record(context: Context, run: Run) -> None:
    with context.transaction() as tx:
        tx.put(run)


def run_of(workshop: Workshop, name: str, **changes: Any) -> Run:
    now = workshop.now
    return Run(id=name, model="", status=RunStatus.SUCCEEDED, trigger="user", as_of=now, started_at=now, **changes)


def test_what_was_put_and_never_told_is_collected(workshop: Workshop) -> None:
    artifacts = workshop.context.stores.artifacts
    lost, told = artifacts.put(b"of somebody who died"), artifacts.put(b"of a run")
    record(workshop.context, run_of(workshop, "r", artifacts={"text": told}))
    aged(workshop.context)
    found = collected(workshop.context, remove=True)
    assert digests(found) == {lost}
    assert (found.artifacts, found.removed, found.removed_bytes) == (2, 1, len(b"of somebody who died"))
    assert [one.digest for one in artifacts.kept()] == [told]


def test_what_a_run_no_longer_names_is_collected(workshop: Workshop) -> None:
    run = in_transaction(workshop, create_run, CreateRun(name="a try")).id
    put_artifact(PutRunArtifact(run=run, name="notes.txt", data=b"first"), workshop.context)
    put_artifact(PutRunArtifact(run=run, name="notes.txt", data=b"second"), workshop.context)
    put_artifact(PutRunArtifact(run=run, name="plot.svg", data=b"<svg/>"), workshop.context)
    in_transaction(workshop, drop_artifact, DropRunArtifact(run=run, name="plot.svg"))
    aged(workshop.context)
    assert digests(collected(workshop.context)) == {digest_of(b"first"), digest_of(b"<svg/>")}


def test_nothing_is_removed_unless_that_is_asked_for_and_what_is_young_is_not_even_found(workshop: Workshop) -> None:
    artifacts = kept_by(workshop.context)
    old = artifacts.put(b"old")
    aged(workshop.context, 2 * DAY)
    young = artifacts.put(b"young")
    assert collected(workshop.context).found == ()
    assert digests(collected(workshop.context, older_than="1d")) == {old}
    assert {one.digest for one in artifacts.kept()} == {old, young}


def test_the_largest_come_first(workshop: Workshop) -> None:
    for size in (3, 100, 20):
        workshop.context.stores.artifacts.put(b"x" * size)
    aged(workshop.context)
    assert [one.size_bytes for one in collected(workshop.context).found] == [100, 20, 3]


@pytest.mark.parametrize("older_than", ["59m", "0d", "soon", "-1d", ""])
def test_whoever_puts_has_an_hour_at_least_to_tell(workshop: Workshop, older_than: str) -> None:
    with pytest.raises(InvalidRequest):
        collected(workshop.context, older_than=older_than)


def step_of(workshop: Workshop, run: str, *, deleted_at: datetime | None = None) -> StepResult:
    """A step of a training, its result on record."""
    blob = b"rows of " + run.encode()
    node = {"is": "bytes", "blob": digest_of(blob)}
    made = keep_result(
        workshop.context, f"key of {run}", node, step="prepare", run=run, parent="training", blob=lambda _: blob
    )
    record(workshop.context, run_of(workshop, run, artifacts={RESULT: made.result}, deleted_at=deleted_at))
    return made


def test_of_a_deleted_run_all_stays_unless_it_was_deleted_long_ago_and_that_is_asked_for(workshop: Workshop) -> None:
    long_ago, lately = workshop.now - 30 * DAY, workshop.now - DAY
    gone, shared = step_of(workshop, "gone", deleted_at=long_ago), step_of(workshop, "shared", deleted_at=long_ago)
    step_of(workshop, "lately", deleted_at=lately)
    step_of(workshop, "here")
    record(workshop.context, run_of(workshop, "cached", artifacts={RESULT: shared.result}))
    aged(workshop.context)
    assert collected(workshop.context, remove=True).found == ()
    assert digests(collected(workshop.context, deleted=True, remove=True)) == {gone.result, digest_of(b"rows of gone")}
    taken: dict[str, bytes] = {}
    assert find_result(workshop.context, gone.key, take=taken.__setitem__) is None, "it is made anew"
    for run in ("shared", "lately", "here"):
        assert find_result(workshop.context, f"key of {run}", take=taken.__setitem__) is not None
    assert set(taken.values()) == {b"rows of shared", b"rows of lately", b"rows of here"}


def test_by_the_platforms_clock_runs_are_deleted_and_by_the_machines_files_are_old(workshop: Workshop) -> None:
    run = in_transaction(workshop, create_run, CreateRun(name="a try")).id
    put_artifact(PutRunArtifact(run=run, name="notes.txt", data=b"notes"), workshop.context)
    in_transaction(workshop, delete_run, DeleteRun(run=run))
    later = replace(workshop.context, clock=ManualClock(workshop.now + 30 * DAY))
    assert collected(later, deleted=True).found == (), "it was put just now"
    aged(workshop.context)
    assert digests(collected(later, deleted=True)) == {digest_of(b"notes")}
    assert collected(workshop.context, deleted=True).found == (), "it was deleted just now"


def test_it_is_recorded_what_was_removed(workshop: Workshop) -> None:
    listed = sorted(workshop.context.stores.artifacts.put(data) for data in (b"one", b"three"))
    lines = "".join(f"{digest}\n" for digest in listed).encode()
    aged(workshop.context)
    collected(workshop.context, remove=True)
    removed = f"artifacts=2 bytes=8 list={digest_of(lines)}"
    assert audit_of(workshop.context) == [
        ("artifacts.collect", "begun", ""),
        ("artifacts.removed", "done", removed),
        ("artifacts.collect", "done", ""),
    ]


class Interrupted(MemoryArtifacts):
    """Artifacts over whose removing somebody loses patience."""

    def __init__(self) -> None:
        super().__init__()
        self.removals = 0

    def remove(self, digest: str, *, unless_put_since: datetime) -> bool:
        self.removals += 1
        if self.removals == 2:
            raise KeyboardInterrupt
        return super().remove(digest, unless_put_since=unless_put_since)


def test_interrupted_it_leaves_the_rest_and_records_what_is_gone(workshop: Workshop) -> None:
    context = over(workshop, Interrupted())
    for number in range(3):
        context.stores.artifacts.put(b"x" * (10 - number))
    aged(context)
    with pytest.raises(KeyboardInterrupt):
        collected(context, remove=True)
    assert audit_of(context)[-1][:2] == ("artifacts.removed", "done")
    assert audit_of(context)[-1][2].startswith("artifacts=1 bytes=10 list=sha256:")
    assert collected(context, remove=True).removed == 2


class PutAgain(MemoryArtifacts):
    """Artifacts of which one is put again while others are looked for."""

    def kept(self) -> Iterator[KeptBytes]:
        listed = list(super().kept())
        self.put(b"again")
        return iter(listed)


def test_what_is_put_again_meanwhile_stays(workshop: Workshop) -> None:
    context = over(workshop, PutAgain())
    again, gone = context.stores.artifacts.put(b"again"), context.stores.artifacts.put(b"gone")
    aged(context)
    found = collected(context, remove=True)
    assert digests(found) == {again, gone}
    assert found.removed == 1
    assert context.stores.artifacts.get(again) == b"again"


class Damaged(MemoryArtifacts):
    """Artifacts of which one cannot be read."""

    def get(self, digest: str) -> bytes:
        if digest == digest_of(b"{}"):
            raise IntegrityError(f"artifact {digest} is not what was kept")
        return super().get(digest)


def test_nothing_is_removed_if_anything_that_may_mention_others_cannot_be_read(workshop: Workshop) -> None:
    context = over(workshop, Damaged())
    manifest, other = context.stores.artifacts.put(b"{}"), context.stores.artifacts.put(b"perhaps of the manifest")
    record(context, run_of(workshop, "r", artifacts={"manifest": manifest}))
    aged(context)
    with pytest.raises(IntegrityError, match=manifest):
        collected(context, remove=True)
    assert context.stores.artifacts.get(other) == b"perhaps of the manifest"
    assert audit_of(context)[-1][:2] == ("artifacts.collect", "refused: integrity")


def test_only_an_administrator_may(workshop: Workshop) -> None:
    author = Principal(name="ada", permissions=frozenset({"runs:write", "models:write"}))
    with pytest.raises(NotAllowed):
        Dispatcher(operations, workshop.context).call(CollectArtifacts(), author)


def test_how_far_it_is_is_told(workshop: Workshop) -> None:
    told: list[float] = []
    for number in range(4):
        workshop.context.stores.artifacts.put(b"x" * number)
    workshop.context.stores.artifacts.publish("d", digest_of(b"").encode())
    aged(workshop.context)
    context = replace(workshop.context, progress=lambda fraction, _: told.append(fraction))
    assert collect(CollectArtifacts(remove=True), context).removed == 3
    assert told == sorted(told)
    assert told[0] >= 0
    assert told[-1] <= 1
