"""Whether states are what they claim to be, compiled: checked before any loop follows the numbers that stand in them.

Compiled loops check no bounds. What stands in a store may have been damaged or written by something else.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from octavo.errors import IntegrityError
from octavo.features.online.compiled import Record, Table, Words, compiled, inlined
from octavo.features.online.shapes import LATEST_WORDS


def joined(states: Sequence[bytes]) -> tuple[Words, Words]:
    """States, one after the other, and where each begins, with where the last one ends.

    Raises
    ------
    IntegrityError
        If one is not of whole words.
    """
    starts = np.array([0, *accumulate(len(state) >> 3 for state in states)])
    data = bytearray().join(states)  # not bytes: loops are compiled for one kind of array
    if len(data) != 8 * starts[-1]:
        raise damaged()
    return np.frombuffer(data, np.int64), starts


def damaged() -> IntegrityError:
    """The error for a state that is not sound."""
    return IntegrityError(
        "the online store holds a state that is damaged, or that something else wrote; build it again from the "
        "events: octavo materialize --force"
    )


@compiled
def all_sound(words: Words, starts: Words, shape: Table, groups: Table) -> bool:
    """Whether all states of one layout are sound."""
    for state in range(len(starts) - 1):  # noqa: SIM110 - compiled, which all() is not
        if not is_sound(words[starts[state] : starts[state + 1]], shape[0], groups):
            return False
    return True


@inlined
def is_sound(data: Words, shape: Record, groups: Table) -> bool:
    """Whether a state holds as many words as its header says, and every place in it lies within it.

    Parameters
    ----------
    groups : Table
        Those of the state's layout.
    """
    if len(data) < shape.tiles:
        return False
    entry, at, size = 1, shape.tiles, len(data)
    for g in range(len(groups)):
        group, n_tiles = groups[g], data[entry]
        if n_tiles < 0 or n_tiles > size:
            return False
        at += n_tiles * (1 + shape.n_fields + group.n_decays + LATEST_WORDS * group.n_oldest)
        for _ in range(group.n_quantiles + group.n_distincts):
            entry += 1
            n_words = data[entry]
            if n_words < 0 or n_words > size or at + n_tiles + n_words > size:
                return False
            if not _ascend(data[at : at + n_tiles], n_words):
                return False
            at += n_tiles + n_words
        entry += 1
    n_tail = data[0]
    return 0 <= n_tail <= size and at + n_tail * shape.row_words == size


@compiled
def _ascend(starts: Words, end: int) -> bool:
    """Whether places are in order, none before the beginning or behind the end."""
    before = 0
    for start in starts:
        if start < before or start > end:
            return False
        before = start
    return True
