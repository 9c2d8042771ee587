"""The file of symmetric trees, and what answers from it. It holds arrays alone, and imports no library of models."""

import io
import math
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.errors import IntegrityError
from octavo.registry.formats import Floats, Outputs
from octavo.registry.formats.symmetric_loops import (
    CATEGORIES,
    EMPTY,
    GROUPS,
    INPUTS,
    QUESTIONS,
    SAMES,
    Symmetric,
    add_many,
    add_one,
)
from octavo.registry.loops import singles

_TYPES: dict[str, Any] = {
    "inputs": INPUTS,
    "border": np.float32,
    "categories": CATEGORIES,
    "word": np.uint64,
    "sames": SAMES,
    "groups": GROUPS,
    "category": np.uint8,
    "asked": QUESTIONS,
    "slot": np.uint64,
    "counted": np.uint8,
    "depth": np.uint8,
    "feature": np.uint16,
    "least": np.uint8,
    "leaf": np.float64,
}
_DEEPEST, _FEW = 16, 3


def write_trees(trees: Symmetric, *, n_inputs: int, transform: str, scale: float, bias: float) -> bytes:
    """The file; the same trees always give the same bytes.

    Parameters
    ----------
    transform : str
        What becomes of the sum of the leaves after `scale` and `bias`: ``Identity``, ``Exp`` or ``Sigmoid``.
    """
    file = io.BytesIO()
    line = np.array([scale, bias])
    np.savez_compressed(file, n_inputs=np.array(n_inputs), transform=np.array(transform), line=line, **trees._asdict())
    return file.getvalue()


def read_trees(data: bytes) -> Outputs:
    """What answers rows, shape (n_rows, n_inputs), rounded to float32; its loops are compiled before it is returned.

    Raises
    ------
    IntegrityError
        If the bytes are no file of trees, or point beyond themselves.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            trees = Symmetric(*(file[name] for name in Symmetric._fields))
            n_inputs, (scale, bias) = int(file["n_inputs"]), file["line"].tolist()
            transform = _TRANSFORMS[str(file["transform"])]
        n_features = _checked(trees, n_inputs=n_inputs)
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"the file of a model's trees cannot be read: {error}; pack it again") from error

    def outputs(rows: npt.NDArray[Any]) -> Floats:
        if rows.shape[1] != n_inputs:
            raise IntegrityError(f"the trees take {n_inputs} columns, not {rows.shape[1]}")
        single = singles(rows)
        if len(single) <= _FEW:
            sums = np.array([add_one(row, trees, n_features) for row in single], np.float64)
        else:
            sums = np.empty(len(single))
            add_many(single, trees, n_features, sums)
        return transform(sums * scale + bias)

    for n_rows in (1, _FEW + 1):
        rows = np.zeros((n_rows, n_inputs), np.float32)
        outputs(rows)
        rows.flags.writeable = False  # as rows are that came as bytes, for which machine code is another
        outputs(rows)
    return outputs


def _checked(trees: Symmetric, *, n_inputs: int) -> int:
    """How many features there are; machine code does not look whether a place is inside an array, so this does.

    Raises
    ------
    ValueError
    """
    for name, array, wanted in zip(_TYPES, trees, _TYPES.values(), strict=True):
        if array.dtype != wanted or array.ndim != 1:
            raise ValueError(f"{name!r} is of {array.dtype} and {array.ndim} dimensions")
    inputs, groups = trees.inputs, trees.groups
    n_fixed = len(inputs) + len(trees.sames)
    n_features, sizes = n_fixed + int(groups["statistics"].sum()), groups["slot_to"] - groups["slot_from"]
    behind = np.cumsum([n_fixed, *groups["statistics"]])[:-1]
    asking = np.repeat(behind, np.maximum(groups["asked_to"] - groups["asked_from"], 0))
    depth = trees.depth.astype(np.int64)
    are_right = {
        "inputs": _are_in(inputs["column"], n_inputs)
        and _are_parts(inputs, "border", of=trees.border)
        and _are_in(inputs["missing"], 256),
        "categories": _are_in(trees.categories["column"], n_inputs)
        and _are_parts(trees.categories, "word", of=trees.word, least=2),
        "sames": _are_in(trees.sames["category"], len(trees.categories)),
        "groups": _are_parts(groups, "category", of=trees.category)
        and _are_parts(groups, "asked", of=trees.asked)
        and _are_parts(groups, "slot", of=trees.slot, least=1)
        and all(math.log2(size).is_integer() for size in sizes.tolist())
        and _are_in(groups["statistics"], len(trees.counted) + 1)
        and bool((groups["count_from"] >= 0).all())
        and bool((groups["count_from"] + (sizes + 1) * groups["statistics"] <= len(trees.counted)).all()),
        "slot": all((trees.slot[one["slot_from"] : one["slot_to"]] == EMPTY).any() for one in groups),
        "category": _are_in(trees.category, len(trees.categories)),
        "asked": len(asking) == len(trees.asked) and _are_in(trees.asked["feature"], asking),
        "depth": _are_in(depth, _DEEPEST + 1) and len(trees.leaf) == int((1 << np.minimum(depth, _DEEPEST)).sum()),
        "feature": len(trees.feature) == len(trees.least) == int(depth.sum()) and _are_in(trees.feature, n_features),
    }
    if wrong := [name for name, is_right in are_right.items() if not is_right]:
        raise ValueError(f"{', '.join(wrong)} point beyond what there is")
    return n_features


def _are_in(places: npt.NDArray[Any], beyond: Any) -> bool:
    return bool(((places >= 0) & (places < beyond)).all())


def _are_parts(table: npt.NDArray[np.void], name: str, *, of: npt.NDArray[Any], least: int = 0) -> bool:
    start, end = table[f"{name}_from"], table[f"{name}_to"]
    return bool(((start >= 0) & (end - start >= least) & (end <= len(of))).all())


def _exp(sums: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(sums))


def _sigmoid(sums: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-sums)))


_TRANSFORMS: dict[str, Callable[[Floats], Floats]] = {"Identity": lambda sums: sums, "Exp": _exp, "Sigmoid": _sigmoid}
