"""Ids of predictions."""

from uuid import UUID

import numpy as np
import pytest

from octavo.serving.ids import IdMaker, Ids, Run, ids_of

AT_US = 1_372_680_000_123_456


@pytest.mark.parametrize("n", [1, 2, 700])
def test_ids_are_uuids_of_their_moment_and_all_different(n: int) -> None:
    made = [UUID(text) for text in IdMaker().make(AT_US, n)]
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {"specified in RFC 4122"}
    assert {one.int >> 80 for one in made} == {AT_US // 1000}
    assert len(set(made)) == n


def test_ids_one_by_one_are_never_given_twice() -> None:
    maker = IdMaker()
    assert len({maker.make(AT_US, 1)[0] for _ in range(5_000)}) == 5_000


def test_texts_letters_and_bytes_are_the_same_ids() -> None:
    ids = IdMaker().make(AT_US, 5)
    assert [UUID(bytes=ids.data[16 * n : 16 * n + 16]) for n in range(5)] == [UUID(text) for text in ids]
    assert ids.letters.tobytes().decode() == "".join(ids)
    assert Ids(ids.chosen(np.array([3, 1]))).texts == [ids[3], ids[1]]


@pytest.mark.parametrize("last", [0, 7, 2**32 - 2])
def test_ids_that_follow_the_first_are_all_written_and_kept_as_if_each_was_told(last: int) -> None:
    first = bytes.fromhex("019bd46e1b7c7f3e9a1cabcd") + last.to_bytes(4, "big")
    run, n = Run(first, 300), 300
    each = Ids(b"".join(first[:12] + ((last + row) % 2**32).to_bytes(4, "big") for row in range(n)))
    assert (len(run), run.data, run.texts, run.kept) == (n, each.data, each.texts, first)
    assert run.letters.tobytes() == each.letters.tobytes()
    assert run.between(b"<", b">;").tobytes() == each.between(b"<", b">;").tobytes()
    assert run.chosen(np.array([2, 299])) == each.chosen(np.array([2, 299]))
    for begins, ends in ((0, 200), (200, 400)):
        assert run.part(begins, ends).texts == each.part(begins, ends).texts
        assert ids_of(run.part(begins, ends).kept, len(run.part(begins, ends))).data == each.part(begins, ends).data
    assert ids_of(each.kept, n).data == each.data


def test_the_ids_of_a_long_request_are_kept_in_the_room_of_one() -> None:
    ids = IdMaker().make(AT_US, 1_000)
    assert len(ids.kept) == 16
    assert len(set(ids)) == 1_000
