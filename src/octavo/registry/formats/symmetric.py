"""CatBoost's symmetric trees as arrays, from what it writes of a model.

The statistics of a category (how often a word was seen, what the label was with it) stand in tables by a hash. What
they come to is known here, and so is which borders they lie above; only that travels.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.errors import TrainingFailed
from octavo.registry.formats.symmetric_loops import (
    CATEGORIES,
    EMPTY,
    GROUPS,
    INPUTS,
    QUESTIONS,
    SAMES,
    Floats,
    Hashes,
    Octets,
    Singles,
    Symmetric,
)
from octavo.training.frames import NO_CATEGORY

_MOST_BORDERS = 255
_NO_HASH = 0x7FFFFFFF
"""Of a word that was not seen: any hash that no table has, as in what CatBoost exports."""
_MEANS = frozenset({"BinarizedTargetMeanValue", "FloatTargetMeanValue"})
_COUNTERS = frozenset({"Counter", "FeatureFreq"})
_KNOWN = frozenset({"float_features", "categorical_features", "ctrs"})
_Question = tuple[int, int]
_HALF = np.uint64(32)


def symmetric_trees(
    model: dict[str, Any], *, words: Mapping[int, Sequence[str]], hashes: Mapping[str, int]
) -> Symmetric:
    """The arrays of a model.

    Parameters
    ----------
    model : dict
        As CatBoost writes it as JSON.
    words : mapping of column to sequence of str
        Of each category.
    hashes : mapping of word to int
        CatBoost's, of each word and of `NO_CATEGORY`.

    Raises
    ------
    TrainingFailed
        If the model has other trees, or takes what has no arrays.
    """
    if others := set(model["features_info"]) - _KNOWN:
        raise TrainingFailed(f"CatBoost with {', '.join(sorted(others))} has no form of arrays")
    if "oblivious_trees" not in model:
        raise TrainingFailed("only CatBoost's symmetric trees have a form of arrays")
    asked = _Asked(model["features_info"])
    inputs, border = asked.inputs()
    sames = asked.sames()
    statistics = asked.statistics(model.get("ctr_data") or {})
    return Symmetric(
        inputs=inputs, border=border, sames=sames, **_words(asked.categories, words, hashes), **statistics,
        **_trees(model["oblivious_trees"], asked.questions),
    )  # fmt: skip


def _words(
    categories: list[dict[str, Any]], words: Mapping[int, Sequence[str]], hashes: Mapping[str, int]
) -> dict[str, Any]:
    rows: list[tuple[int, int, int]] = []
    kept: list[int] = []
    for category in categories:
        column, start = category["flat_feature_index"], len(kept)
        if column not in words:
            raise TrainingFailed(f"CatBoost takes column {column + 1} as a category, which X does not")
        kept += [*(_unsigned(hashes[word]) for word in (*words[column], NO_CATEGORY)), _NO_HASH]
        rows.append((column, start, len(kept)))
    return {"categories": np.array(rows, CATEGORIES), "word": np.array(kept, np.uint64)}


def _trees(trees: list[dict[str, Any]], questions: list[_Question]) -> dict[str, Any]:
    splits = [split for tree in trees for split in tree["splits"] or ()]
    asked = [questions[split["split_index"]] for split in splits]
    return {
        "depth": np.array([len(tree["splits"] or ()) for tree in trees], np.uint8),
        "feature": np.array([feature for feature, _ in asked], np.uint16),
        "least": np.array([least for _, least in asked], np.uint8),
        "leaf": np.array([value for tree in trees for value in tree["leaf_values"]], np.float64),
    }


class _Asked:
    """The features of a model and what is asked of them, as they are added: inputs, words, statistics.

    Attributes
    ----------
    questions : list of (feature, least count)
        In CatBoost's order of all of them.
    """

    def __init__(self, info: dict[str, Any]) -> None:
        self._numbers = info.get("float_features") or []
        self._statistics = info.get("ctrs") or []
        self.categories = info.get("categorical_features") or []
        self.questions: list[_Question] = []
        self._features = 0
        self._of_border: dict[tuple[int, float], _Question] = {}
        self._of_word: dict[tuple[int, int], _Question] = {}

    def inputs(self) -> tuple[npt.NDArray[np.void], Singles]:
        """A count is an octet: an input of more borders is several features."""
        rows: list[tuple[int, int, int, int]] = []
        kept: list[float] = []
        for number in self._numbers:
            borders = number["borders"] or []
            for start in range(0, len(borders), _MOST_BORDERS):
                part = np.array(borders[start : start + _MOST_BORDERS], np.float32)
                missing = len(part) if number["nan_value_treatment"] == "AsTrue" else 0
                rows.append((number["flat_feature_index"], len(kept), len(kept) + len(part), missing))
                for least, border in enumerate(part.tolist(), start=1):
                    self._of_border[number["feature_index"], border] = (self._features, least)
                self._add(len(part))
                kept += part.tolist()
        return np.array(rows, INPUTS), np.array(kept, np.float32)

    def sames(self) -> npt.NDArray[np.void]:
        rows = []
        for place, category in enumerate(self.categories):
            for word in category.get("values") or ():
                rows.append((place, word))
                self._of_word[category["feature_index"], word] = (self._features, 1)
                self._add(1)
        return np.array(rows, SAMES)

    def statistics(self, tables: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Statistics of the same group stand together, so that one look finds them all."""
        places = {category["feature_index"]: place for place, category in enumerate(self.categories)}
        members: dict[str, list[int]] = {}
        for number, statistic in enumerate(self._statistics):
            members.setdefault(json.dumps(statistic["elements"]), []).append(number)
        groups: list[tuple[int, ...]] = []
        category: list[int] = []
        asked: list[_Question] = []
        first: dict[int, int] = {}
        slots, counts = [np.empty(0, np.uint64)], [np.empty(0, np.uint8)]
        n_slots = n_counts = 0
        for numbers in members.values():
            elements = self._statistics[numbers[0]]["elements"]
            of_category = [places[one["cat_feature_index"]] for one in elements if _is_category(one)]
            of_question = [self._question(one) for one in elements if not _is_category(one)]
            slot, count = _table(
                [(self._statistics[one], tables[self._statistics[one]["identifier"]]) for one in numbers]
            )
            groups.append(
                (
                    *(len(category), len(category) + len(of_category), len(asked), len(asked) + len(of_question)),
                    *(n_slots, n_slots + len(slot), len(numbers), n_counts),
                )
            )
            category, asked = category + of_category, asked + of_question
            slots, counts = [*slots, slot], [*counts, count]
            n_slots, n_counts = n_slots + len(slot), n_counts + len(count)
            first |= {number: self._features + place for place, number in enumerate(numbers)}
            self._features += len(numbers)
        for number, statistic in enumerate(self._statistics):
            self.questions += [(first[number], least + 1) for least in range(len(statistic["borders"]))]
        return {
            "groups": np.array(groups, GROUPS),
            "category": np.array(category, np.uint8),
            "asked": np.array(asked, QUESTIONS),
            "slot": np.concatenate(slots),
            "counted": np.concatenate(counts),
        }

    def _add(self, n_questions: int) -> None:
        self.questions += [(self._features, least + 1) for least in range(n_questions)]
        self._features += 1

    def _question(self, element: dict[str, Any]) -> _Question:
        if element["combination_element"] == "float_feature":
            return self._of_border[element["float_feature_index"], float(np.float32(element["border"]))]
        return self._of_word[element["cat_feature_index"], element["value"]]


def _is_category(element: dict[str, Any]) -> bool:
    return bool(element["combination_element"] == "cat_feature_value")


def _unsigned(number: int) -> int:
    return number % 2**64


def _table(statistics: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> tuple[Hashes, Octets]:
    """The slots of a group, and what its statistics count in each of them and in none."""
    read = [_read(statistic, table) for statistic, table in statistics]
    keys = np.unique(np.concatenate([found for found, _, _ in read]))
    slot, place = _slots(keys)
    counts = np.empty((len(slot) + 1, len(read)), np.uint8)
    for at, (found, above, nothing) in enumerate(read):
        counts[:, at] = nothing
        counts[place[np.searchsorted(keys, found)], at] = above
    return slot, counts.ravel()


def _read(statistic: dict[str, Any], table: dict[str, Any]) -> tuple[Hashes, Octets, int]:
    """The keys of a table, how many borders the statistic lies above for each, and for any other."""
    stride, total = table["hash_stride"], table["counter_denominator"]
    cells = np.array(table["hash_map"], object).reshape(-1, stride)
    cells = cells[[int(key) != EMPTY for key in cells[:, 0]]]
    kind, values = statistic["ctr_type"], cells[:, 1:].astype(np.float64)
    if kind in _MEANS:
        good, seen = values[:, 0], values[:, 1]
    elif kind in _COUNTERS:
        good, seen = values[:, 0], np.full(len(values), total)
    else:
        first = statistic["target_border_idx"]
        good = values[:, first] if kind == "Buckets" else values[:, first + 1 :].sum(axis=1)
        seen = values.sum(axis=1)
    nothing = _above(statistic, np.zeros(1), np.array([total if kind in _COUNTERS else 0]))
    return cells[:, 0].astype(np.uint64), _above(statistic, good, seen), int(nothing[0])


def _above(statistic: dict[str, Any], good: Floats, seen: Floats) -> Octets:
    """In float32 throughout, as CatBoost counts."""
    share = (good.astype(np.float32) + np.float32(statistic["prior_numerator"])) / (
        seen.astype(np.float32) + np.float32(statistic["prior_denomerator"])
    )
    scaled = (share + np.float32(statistic["shift"])) * np.float32(statistic["scale"])
    return np.searchsorted(np.array(statistic["borders"], np.float32), scaled).astype(np.uint8)


def _slots(keys: Hashes) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """An open table at most half full, and the slot of each key; `_slot` of the loops finds them."""
    size = 1 << (2 * len(keys)).bit_length()
    slot, place = np.full(size, EMPTY, np.uint64), ((keys ^ (keys >> _HALF)) % np.uint64(size)).astype(np.int64)
    waiting = np.arange(len(keys))
    while len(waiting):
        free = waiting[slot[place[waiting]] == EMPTY]
        _, first = np.unique(place[free], return_index=True)
        slot[place[free[first]]] = keys[free[first]]
        waiting = np.setdiff1d(waiting, free[first])
        place[waiting] = (place[waiting] + 1) % size
    return slot, place
