"""What is logged is delivered, whatever happens on the way; whoever logs hardly waits."""

import threading
import time
from datetime import UTC, datetime

import pytest

from octavo.errors import Conflict, OctavoError, Unavailable
from octavo.training.tracking import outbox as outboxes
from octavo.training.tracking.outbox import Batch, Measured, Outbox

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Post:
    """A carrier that keeps what it is given, and can be made to fail."""

    def __init__(self) -> None:
        self.points: list[int] = []
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.sizes: list[int] = []
        self.failures: list[Exception] = []
        self.open = threading.Event()
        self.open.set()

    def log(self, batch: Batch) -> None:
        self._fail()
        if "bad" in batch.params:
            raise Conflict("there is another 'bad' already")
        self.sizes.append(len(batch.points))
        self.points += [point.step for point in batch.points]
        self.params |= batch.params
        self.tags |= batch.tags

    def put(self, name: str, data: bytes) -> None:
        self._fail()
        self.files[name] = data

    def _fail(self) -> None:
        assert self.open.wait(20)
        if self.failures:
            raise self.failures.pop(0)


def points(*steps: int) -> Batch:
    return Batch(points=[Measured(name="loss", value=0.5, step=step, at=NOON) for step in steps])


@pytest.fixture
def post() -> Post:
    return Post()


def test_all_arrives_by_the_end_in_batches(post: Post) -> None:
    outbox = Outbox(post, every_s=60)
    for step in range(2_500):
        outbox.add(points(step))
    outbox.add(Batch(params={"depth": "6"}, tags={"team": "risk"}))
    outbox.add_artifact("a.txt", b"x")
    assert outbox.close(20) == (Batch(), [])
    assert post.points == list(range(2_500))
    assert max(post.sizes) <= 1_000
    assert (post.params, post.tags, post.files) == ({"depth": "6"}, {"team": "risk"}, {"a.txt": b"x"})


def test_it_goes_without_being_asked(post: Post) -> None:
    outbox = Outbox(post, every_s=0.01)
    outbox.add(points(1))
    until = time.monotonic() + 20
    while post.points != [1]:
        assert time.monotonic() < until
        time.sleep(0.005)
    outbox.close(20)


def test_what_could_not_be_delivered_is_sent_again(post: Post) -> None:
    post.failures = [Unavailable("no"), Unavailable("not yet")]
    outbox = Outbox(post)
    outbox.add(points(1, 2))
    outbox.add_artifact("a.txt", b"x")
    assert outbox.flush(20)
    assert (post.points, post.files) == ([1, 2], {"a.txt": b"x"})
    outbox.close(20)


def test_what_cannot_be_delivered_is_handed_back_at_the_end(post: Post) -> None:
    post.failures = [Unavailable("no")] * 1_000
    outbox = Outbox(post)
    outbox.add(points(1, 2))
    outbox.add(Batch(params={"depth": "6"}))
    outbox.add_artifact("a.txt", b"x")
    left, files = outbox.close(0.3)
    assert ([point.step for point in left.points], left.params, files) == ([1, 2], {"depth": "6"}, [("a.txt", b"x")])


def test_what_a_carrier_that_hangs_has_taken_is_handed_back_too(post: Post) -> None:
    post.open.clear()
    outbox = Outbox(post, every_s=0.0)
    outbox.add(points(1))
    assert not outbox.flush(0.2)
    outbox.add(points(2))
    left, _ = outbox.close(0.1)
    assert [point.step for point in left.points] == [1, 2]
    post.open.set()


def test_only_what_is_to_blame_for_a_refusal_is_refused(post: Post) -> None:
    outbox = Outbox(post, every_s=60)
    outbox.add(Batch(params={"good": "1", "bad": "2"}, tags={"t": "x"}, points=points(1).points))
    assert outbox.flush(20)
    assert (post.params, post.tags, post.points) == ({"good": "1"}, {"t": "x"}, [1])
    assert [error.code for error in outbox.refusals] == ["conflict"]
    outbox.close(20)


def test_an_unforeseen_error_does_not_stop_the_rest(post: Post) -> None:
    post.failures = [RuntimeError("a bug")]
    outbox = Outbox(post)
    outbox.add_artifact("lost.txt", b"x")
    outbox.add(points(1))
    outbox.add_artifact("b.txt", b"y")
    assert outbox.flush(20)
    assert post.points == [1] or post.files == {"lost.txt": b"x", "b.txt": b"y"}
    assert "a bug" in outbox.refusals[0].message
    outbox.close(20)


def test_whoever_logs_does_not_wait_for_the_network(post: Post) -> None:
    post.open.clear()
    outbox = Outbox(post, every_s=0.0)
    started_s = time.monotonic()
    for step in range(5_000):
        outbox.add(points(step))
    assert time.monotonic() - started_s < 5
    post.open.set()
    outbox.close(20)
    assert len(post.points) == 5_000


def test_where_far_too_much_waits_it_is_said_after_a_bounded_time(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "MOST_WAITING", 10)
    post.open.clear()
    outbox = Outbox(post, every_s=0.0, patience_s=0.1)
    outbox.add(points(*range(20)))  # the first is perhaps under way already
    outbox.add(points(*range(20)))
    with pytest.raises(Unavailable, match="this was not logged"):
        outbox.add(points(1))
    post.open.set()
    outbox.close(20)


def test_nothing_is_taken_after_the_end(post: Post) -> None:
    outbox = Outbox(post)
    outbox.close(20)
    with pytest.raises(OctavoError, match="has ended"):
        outbox.add(points(1))
