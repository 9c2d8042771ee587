"""What is remembered of a store is what was kept last and not forgotten, within its bound."""

from hypothesis import given
from hypothesis import strategies as st

from octavo.stores.remembered import Remembered

keys = st.sampled_from([b"a", b"b", b"c", b"d"])
values = st.none() | st.integers(0, 700).map(bytes)
steps = st.lists(st.dictionaries(keys, values) | keys | st.just("clear"), max_size=30)


@given(steps, st.sampled_from([0, 400, 1_000, 100_000]))
def test_nothing_is_known_that_was_not_kept_last(done: list[object], most_bytes: int) -> None:
    remembered, true = Remembered(most_bytes), dict[bytes, bytes | None]()
    for step in done:
        if isinstance(step, dict):
            remembered.keep(step)
            true |= step
        elif isinstance(step, bytes):
            remembered.forget(step)
            assert step not in remembered
        else:
            remembered.clear()
        assert remembered.items() <= true.items()
        assert sum(len(key) + len(value or b"") for key, value in remembered.items()) <= most_bytes


@given(steps)
def test_what_is_forgotten_gives_back_its_room(done: list[object]) -> None:
    remembered = Remembered(1_000)
    for step in done:
        if isinstance(step, dict):
            remembered.keep(step)
        for key in [*remembered]:
            remembered.forget(key)
    remembered.keep({b"large": bytes(800)})
    assert remembered == {b"large": bytes(800)}


def test_where_all_have_room_all_are_known() -> None:
    remembered = Remembered(1_000_000)
    remembered.keep({b"a": b"1", b"b": None})
    remembered.keep({b"a": b"2"})
    assert remembered == {b"a": b"2", b"b": None}
