"""Symmetric trees as arrays, and loops over them that are compiled to machine code.

Every level of a symmetric tree asks the same question, whose answer is one bit of the leaf's place. Before the trees,
each input becomes the number of its borders that it lies above; so do the statistics of categories, by a hash of what
the row has in them. One row is answered by itself, many in blocks, whose comparisons are vectors.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from octavo.features.online.compiled import Record, Table, compiled, table

Hashes: TypeAlias = npt.NDArray[np.uint64]
Octets: TypeAlias = npt.NDArray[np.uint8]
Places: TypeAlias = npt.NDArray[np.uint16]
Singles: TypeAlias = npt.NDArray[np.float32]
Floats: TypeAlias = npt.NDArray[np.float64]
Number: TypeAlias = Any
"""One of numpy's, whose type numba keeps to."""

MAGIC = 0x4906BA494954CB65
EMPTY = 2**64 - 1
"""The key of a slot that holds nothing."""
INPUTS = table("column", "border_from", "border_to", "missing")
"""`missing` is the count where the input is missing."""
CATEGORIES = table("column", "word_from", "word_to")
"""Of the words, the last but one stands for none, and the last for any other."""
SAMES = table("category", "word")
GROUPS = table(
    "category_from", "category_to", "asked_from", "asked_to", "slot_from", "slot_to", "statistics", "count_from"
)
"""Of a power of two of slots at least one is empty; behind the counts of all are those of what no slot holds."""
QUESTIONS = table("feature", "least")

_MAGIC, _EMPTY, _ONE, _HALF = np.uint64(MAGIC), np.uint64(EMPTY), np.uint64(1), np.uint64(32)
_BLOCK = 128


class Symmetric(NamedTuple):
    """An ensemble of symmetric trees.

    A question is whether the count of a *feature* is at least a number. Features are the inputs, counted by borders;
    then words, 1 where a category is that word; then statistics. The statistics of a *group* hang on the same
    categories and answers to questions.
    """

    inputs: Table
    border: Singles
    categories: Table
    word: Hashes
    sames: Table
    groups: Table
    category: Octets
    """Those of all groups, one behind the other."""
    asked: Table
    """Likewise, `QUESTIONS`."""
    slot: Hashes
    counted: Octets
    depth: Octets
    """Of each tree."""
    feature: Places
    """Of each question of each tree."""
    least: Octets
    leaf: Floats


@compiled
def add_one(row: Singles, trees: Symmetric, n_features: int) -> float:
    """The sum of the leaves for a row of shape (n_inputs,)."""
    counts, words = np.zeros(n_features, np.uint8), np.zeros(len(trees.categories), np.uint64)
    for place in range(len(trees.inputs)):
        counts[place] = _above(row, trees.inputs[place], trees.border)
    for place in range(len(trees.categories)):
        words[place] = _word(row, trees.categories[place], trees.word)
    at = len(trees.inputs)
    for same in trees.sames:
        counts[at] = words[same.category] == np.uint64(same.word)
        at += 1
    for group in trees.groups:
        found = group.count_from + group.statistics * _slot(_key(group, trees, words, counts), group, trees.slot)
        for place in range(group.statistics):
            counts[at + place] = trees.counted[found + place]
        at += group.statistics
    return _sum(trees, counts)


@compiled
def _above(row: Singles, which: Record, border: Singles) -> Number:
    value, count = row[which.column], np.uint8(0)
    if np.isnan(value):
        return which.missing
    for place in range(which.border_from, which.border_to):
        count += np.uint8(value > border[place])
    return np.int64(count)


@compiled
def _word(row: Singles, which: Record, word: Hashes) -> Number:
    value, n_words = row[which.column], which.word_to - which.word_from - 2
    if np.isnan(value):
        return word[which.word_to - 2]
    if value < 0 or value >= n_words:
        return word[which.word_to - 1]
    return word[which.word_from + np.int64(value)]


@compiled
def _key(group: Record, trees: Symmetric, words: Hashes, counts: Octets) -> Number:
    """CatBoost's hash of what a row has in a group."""
    key = np.uint64(0)
    for place in range(group.category_from, group.category_to):
        key = _MAGIC * (key + _MAGIC * words[trees.category[place]])
    for place in range(group.asked_from, group.asked_to):
        question = trees.asked[place]
        key = _MAGIC * (key + _MAGIC * np.uint64(counts[question.feature] >= question.least))
    return key


@compiled
def _slot(key: Number, group: Record, slot: Hashes) -> Number:
    """Where a group's table has a key; behind its end if nowhere."""
    start, size = np.uint64(group.slot_from), np.uint64(group.slot_to - group.slot_from)
    mask = size - _ONE
    place = (key ^ (key >> _HALF)) & mask
    while slot[start + place] != key:
        if slot[start + place] == _EMPTY:
            return np.int64(size)
        place = (place + _ONE) & mask
    return np.int64(place)


@compiled
def _sum(trees: Symmetric, counts: Octets) -> float:
    """Unsigned all through: of any other index numba looks at the sign."""
    total, split, leaf = 0.0, np.uint64(0), np.uint64(0)
    for depth in trees.depth:
        level, place = split + np.uint64(depth), np.uint64(0)
        while level > split:
            level -= _ONE
            place = (place << _ONE) | np.uint64(counts[trees.feature[level]] >= trees.least[level])
        total += trees.leaf[leaf + place]
        split += np.uint64(depth)
        leaf += _ONE << np.uint64(depth)
    return total


@compiled
def add_many(rows: Singles, trees: Symmetric, n_features: int, sums: Floats) -> None:
    """The sums of the leaves for rows of shape (n_rows, n_inputs), into `sums`, shape (n_rows,)."""
    width = min(_BLOCK, len(rows))
    counts, words = np.zeros((n_features, width), np.uint8), np.zeros((len(trees.categories), width), np.uint64)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        _count_inputs(block, trees, counts)
        _count_words(block, trees, words, counts)
        _count_statistics(len(block), trees, words, counts)
        sums[start : start + len(block)] = _sums(trees, counts)[: len(block)]


@compiled
def _count_inputs(rows: Singles, trees: Symmetric, counts: Octets) -> None:
    values = np.zeros(counts.shape[1], np.float32)
    for place in range(len(trees.inputs)):
        which, mine = trees.inputs[place], counts[place]
        for row in range(len(rows)):
            values[row] = rows[row, which.column]
        mine[:] = 0
        for at in range(which.border_from, which.border_to):
            border = trees.border[at]
            for row in range(len(mine)):
                mine[row] += np.uint8(values[row] > border)
        if which.missing:
            for row in range(len(mine)):
                if np.isnan(values[row]):
                    mine[row] = which.missing


@compiled
def _count_words(rows: Singles, trees: Symmetric, words: Hashes, counts: Octets) -> None:
    for place in range(len(trees.categories)):
        for row in range(len(rows)):
            words[place, row] = _word(rows[row], trees.categories[place], trees.word)
    at = len(trees.inputs)
    for same in trees.sames:
        mine, wanted = words[same.category], np.uint64(same.word)
        for row in range(len(rows)):
            counts[at, row] = mine[row] == wanted
        at += 1


@compiled
def _count_statistics(n_rows: int, trees: Symmetric, words: Hashes, counts: Octets) -> None:
    at, keys = len(trees.inputs) + len(trees.sames), np.zeros(counts.shape[1], np.uint64)
    for group in trees.groups:
        _fill_keys(group, trees, words, counts, keys)
        for row in range(n_rows):
            found = group.count_from + group.statistics * _slot(keys[row], group, trees.slot)
            for place in range(group.statistics):
                counts[at + place, row] = trees.counted[found + place]
        at += group.statistics


@compiled
def _fill_keys(group: Record, trees: Symmetric, words: Hashes, counts: Octets, keys: Hashes) -> None:
    """`_key` of each row."""
    keys[:] = np.uint64(0)
    for place in range(group.category_from, group.category_to):
        mine = words[trees.category[place]]
        for row in range(len(keys)):
            keys[row] = _MAGIC * (keys[row] + _MAGIC * mine[row])
    for place in range(group.asked_from, group.asked_to):
        question = trees.asked[place]
        asked, least = counts[question.feature], np.uint8(question.least)
        for row in range(len(keys)):
            keys[row] = _MAGIC * (keys[row] + _MAGIC * np.uint64(asked[row] >= least))


@compiled
def _sums(trees: Symmetric, counts: Octets) -> Floats:
    width = counts.shape[1]
    totals, places = np.zeros(width, np.float64), np.zeros(width, np.uint32)
    split, leaf = np.int64(0), np.int64(0)
    for depth in trees.depth:
        places[:] = 0
        for level in range(depth):
            asked, least = counts[trees.feature[split + level]], trees.least[split + level]
            for row in range(width):
                places[row] |= np.uint32(asked[row] >= least) << np.uint32(level)
        leaves = trees.leaf[leaf:]
        for row in range(width):
            totals[row] += leaves[places[row]]
        split += np.int64(depth)
        leaf += np.int64(1) << np.int64(depth)
    return totals
