"""Ids of predictions."""

from uuid import UUID

import numpy as np
import pytest

from octavo.serving.ids import IdMaker, Ids

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
