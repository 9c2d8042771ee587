"""What goes into steps and comes out of them, as data: a document of plain values, and blobs by their digests.

No code is ever among it. Two values with the same document are the same.
"""

import io
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa

from octavo.definitions.datasets import Dataset
from octavo.definitions.steps import Pending
from octavo.errors import IntegrityError, TrainingFailed
from octavo.stores.names import digest_of
from octavo.training.steps.estimators import dump_estimator, is_estimator, load_estimator

Node: TypeAlias = Any
"""A JSON value: a plain one stands for itself, and an object says under ``is`` what it is."""

Keep: TypeAlias = Callable[[bytes], str]
Fetch: TypeAlias = Callable[[str], bytes]

_TAKEN = (
    "numbers, texts, times, lists and dicts of them, oc.Dataset, arrays of numpy, sparse matrices of scipy, tables of "
    "Arrow, frames of pandas, and fitted estimators of scikit-learn, LightGBM, XGBoost, CatBoost or ONNX"
)
_LARGEST_INT = 2**53
_DEEPEST = 50


def encode_value(value: Any, *, keep: Keep, pending: Callable[[Pending], Node] | None = None, where: str) -> Node:
    """A value as a document.

    Parameters
    ----------
    keep : callable
        Keeps bytes and returns their digest.
    pending : callable or None
        What stands for the result of a step.
    where : str
        What the value is, for the message: ``what step 'prepare' returned``.

    Raises
    ------
    TrainingFailed
        If something in it is no data.
    """

    def inner(value: Any, depth: int) -> Node:
        if depth > _DEEPEST:
            raise TrainingFailed(f"{where} is nested more than {_DEEPEST} deep, or holds itself")
        if isinstance(value, Pending):
            if pending is None:
                raise TrainingFailed(f"{where} holds the result of a step that is not there yet; see oc.result")
            return pending(value)
        if type(value) in (list, tuple):
            return {"is": type(value).__name__, "of": [inner(item, depth + 1) for item in value]}
        if type(value) is dict:
            pairs = [[inner(key, depth + 1), inner(item, depth + 1)] for key, item in value.items()]
            return {"is": "dict", "of": pairs}
        if isinstance(value, Dataset):
            parts = [value.columns, value.X, value.y, value.times, dict(value.categories)]
            return {"is": "dataset", "of": [inner(part, depth + 1) for part in parts]}
        return _leaf(value, keep=keep, where=where)

    return inner(value, 0)


def decode_value(node: Node, *, fetch: Fetch) -> Any:
    """The value of a document.

    Parameters
    ----------
    fetch : callable
        The bytes of a digest.

    Raises
    ------
    IntegrityError
        If it is none.
    """
    if not isinstance(node, dict):
        return node
    try:
        kind = node["is"]
        if kind in ("list", "tuple"):
            items = [decode_value(item, fetch=fetch) for item in node["of"]]
            return tuple(items) if kind == "tuple" else items
        if kind == "dict":
            return {decode_value(key, fetch=fetch): decode_value(item, fetch=fetch) for key, item in node["of"]}
        if kind == "dataset":
            columns, matrix, labels, times, categories = (decode_value(part, fetch=fetch) for part in node["of"])
            return Dataset(columns=columns, X=matrix, y=labels, times=times, categories=categories)
        return _READERS[kind](node, fetch)
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise IntegrityError(f"these bytes are no result of a step: {error!r}; train again") from error


def blobs_of(node: Node) -> list[str]:
    """The digests of all blobs of a document."""
    if isinstance(node, list):
        return [digest for item in node for digest in blobs_of(item)]
    if isinstance(node, dict):
        return [node["blob"]] if "blob" in node else blobs_of(node.get("of", []))
    return []


def digest_of_node(node: Node) -> str:
    """The digest of a document, and so of the value."""
    return digest_of(encode_node(node))


def encode_node(node: Node) -> bytes:
    """A document as bytes: canonical JSON."""
    return msgspec.json.encode(node, order="deterministic")


def decode_node(data: bytes) -> Node:
    """The document that `encode_node` wrote."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise IntegrityError(f"these bytes are no result of a step: {error}; train again") from error


def _leaf(value: Any, *, keep: Keep, where: str) -> Node:
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if abs(value) < _LARGEST_INT else {"is": "int", "text": str(value)}
    if kind is float:
        return value if math.isfinite(value) else {"is": "float", "text": str(value)}
    if kind is bytes:
        return {"is": "bytes", "blob": keep(value)}
    if kind in (datetime, date):
        return {"is": kind.__name__, "text": value.isoformat()}
    if kind is timedelta:
        return {"is": "timedelta", "text": str(value // timedelta(microseconds=1))}
    if isinstance(value, np.ndarray | np.generic):
        return _array(value, keep=keep, where=where)
    return _of_library(value, keep=keep, where=where)


def _array(value: Any, *, keep: Keep, where: str) -> Node:
    if value.dtype.hasobject or type(value) not in (np.ndarray, *_SCALARS):
        raise TrainingFailed(f"{where} holds {_kind(value)} of Python objects, which is no data; {_advice()}")
    data = io.BytesIO()
    np.save(data, np.asarray(value), allow_pickle=False)
    return {"is": "array" if isinstance(value, np.ndarray) else "scalar", "blob": keep(data.getvalue())}


def _of_library(value: Any, *, keep: Keep, where: str) -> Node:
    """A value of a library that is loaded only where such values are."""
    library = type(value).__module__.partition(".")[0]
    if isinstance(value, pa.Table):
        return {"is": "table", "blob": keep(_stream(value))}
    if library == "pandas" and type(value).__name__ == "DataFrame":
        try:
            return {"is": "frame", "blob": keep(_stream(pa.Table.from_pandas(value)))}
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise TrainingFailed(f"{where} holds a frame that Arrow does not take: {error}; {_advice()}") from error
    if library == "scipy" and hasattr(value, "tocsr"):
        return {"is": "sparse", "blob": keep(_sparse(value))}
    if library == "onnx" and type(value).__name__ == "ModelProto":
        return {"is": "onnx", "blob": keep(value.SerializeToString(deterministic=True))}
    if is_estimator(value):
        return {"is": "estimator", "blob": keep(dump_estimator(value, where=where))}
    raise TrainingFailed(f"{where} holds a {_kind(value)}, which cannot be kept as data; {_advice()}")


def _advice() -> str:
    return f"steps give each other {_TAKEN}. Put it into one of these, or make it inside the step that uses it"


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _sparse(value: Any) -> bytes:
    from scipy import sparse  # type: ignore[import-untyped]  # it has no types

    data = io.BytesIO()
    sparse.save_npz(data, value, compressed=False)
    return data.getvalue()


def _read_array(node: Mapping[str, Any], fetch: Fetch) -> Any:
    return np.load(io.BytesIO(fetch(node["blob"])), allow_pickle=False)


def _read_table(node: Mapping[str, Any], fetch: Fetch) -> pa.Table:
    with pa.ipc.open_stream(fetch(node["blob"])) as stream:
        return stream.read_all()


def _read_sparse(node: Mapping[str, Any], fetch: Fetch) -> Any:
    from scipy import sparse

    return sparse.load_npz(io.BytesIO(fetch(node["blob"])))


def _read_onnx(node: Mapping[str, Any], fetch: Fetch) -> Any:
    import onnx

    return onnx.ModelProto.FromString(fetch(node["blob"]))


_SCALARS = tuple({np.dtype(code).type for code in np.typecodes["AllInteger"] + np.typecodes["AllFloat"] + "?SUMm"})
_READERS: Mapping[str, Callable[[Mapping[str, Any], Fetch], Any]] = {
    "int": lambda node, fetch: int(node["text"]),
    "float": lambda node, fetch: float(node["text"]),
    "bytes": lambda node, fetch: fetch(node["blob"]),
    "datetime": lambda node, fetch: datetime.fromisoformat(node["text"]),
    "date": lambda node, fetch: date.fromisoformat(node["text"]),
    "timedelta": lambda node, fetch: timedelta(microseconds=int(node["text"])),
    "array": _read_array,
    "scalar": lambda node, fetch: _read_array(node, fetch)[()],
    "table": _read_table,
    "frame": lambda node, fetch: _read_table(node, fetch).to_pandas(),
    "sparse": _read_sparse,
    "onnx": _read_onnx,
    "estimator": lambda node, fetch: load_estimator(fetch(node["blob"])),
}
