"""What a dataset's rows are, however they are cut, chunked or written down: their plain types, order and digest."""

import hashlib

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.errors import InvalidRequest
from octavo.features.events.payloads import TIME

_BITS, _NOTHING = 20, 1e-12
_BORDER = 0.3819660112501051  # of the golden section, as far from every simple fraction as can be


def plain_rows(rows: pa.Table) -> pa.Table:
    """Rows in the few types that a dataset has: int64, float64, bool, string and timestamp[us, tz=UTC].

    Raises
    ------
    InvalidRequest
        If a column is of another kind, or a value does not fit.
    """
    schema = pa.schema([pa.field(field.name, _plain(field)) for field in rows.schema])
    if len(set(schema.names)) < len(schema.names):
        raise InvalidRequest("two columns of the rows have one name", fix="rename one")
    try:
        return rows.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidRequest(f"a value of the rows does not fit: {error}", field="rows") from error


def in_order(rows: pa.Table, *, at: str) -> pa.Table:
    """Rows by their moment and then by all else, so that the same rows in any order are the same dataset."""
    if not rows.num_rows:
        return rows
    others = [(name, "ascending") for name in rows.column_names if name != at]
    return rows.sort_by([(at, "ascending"), *others])


class ContentDigest:
    """The digest of a table that is given in parts, and depends on its columns and rows alone.

    Engines add in any order, so that the last bits of a sum are others each time. Therefore of a float64 its first 20
    bits count, which is six digits, and what is nearer to zero than 1e-12 is zero. Null and NaN in a column of float64
    are both missing, and the same. All else counts exactly.

    Parameters
    ----------
    schema : pa.Schema
        Of types that `plain_rows` gives.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows = 0
        self._hashes = {name: (hashlib.sha256(), hashlib.sha256()) for name in schema.names}

    def update(self, part: pa.Table) -> None:
        """Take the next rows."""
        self._rows += part.num_rows
        for name, (values, marks) in self._hashes.items():
            for chunk in part.column(name).chunks:
                content, present = _bytes_of(chunk)
                values.update(content.data)
                marks.update(present.data)

    def digest(self) -> str:
        """``sha256:`` and 64 hex digits."""
        whole = hashlib.sha256(msgspec.json.encode([self._rows, [[f.name, str(f.type)] for f in self._schema]]))
        for values, marks in self._hashes.values():
            whole.update(values.digest() + marks.digest())
        return f"sha256:{whole.hexdigest()}"


def _plain(field: pa.Field) -> pa.DataType:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if is_text or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_boolean(kind):
        return kind
    if pa.types.is_timestamp(kind) and kind.tz:
        return TIME
    raise InvalidRequest(
        f"column {field.name!r} is {field.type}, which a dataset does not hold",
        field=field.name,
        fix="use numbers, truths, strings and times with a zone, or drop the column",
    )


def _bytes_of(chunk: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The values as bytes in one way only, and what else tells them apart: presence, or a string's length."""
    if pa.types.is_floating(chunk.type):
        coarse = _coarse(chunk.to_numpy(zero_copy_only=False))
        return coarse.astype("<f8").view(np.uint8), np.empty(0, np.uint8)
    present = chunk.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_string(chunk.type):
        text, lengths = _text_of(chunk.fill_null(""))
        return text, np.where(present, lengths, -1).astype("<i8").view(np.uint8)
    whole = chunk.fill_null(False if pa.types.is_boolean(chunk.type) else _nothing(chunk.type))
    return whole.cast(pa.int64()).to_numpy(zero_copy_only=False).astype("<i8").view(np.uint8), present.view(np.uint8)


def _coarse(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Numbers to 20 bits.

    The borders between two results lie where no sum of decimals lies exactly: a number that was meant to be 262144.25
    comes out the same whichever way it is off by a bit.
    """
    mantissas, exponents = np.frexp(numbers)
    rounded = np.ldexp(np.floor(mantissas * 2.0**_BITS + _BORDER), exponents - _BITS)
    rounded = np.where(np.isfinite(numbers), rounded, numbers)
    # NaN has many bit patterns and zero has two; each counts as one.
    return np.where(np.isnan(numbers), np.nan, np.where(np.abs(numbers) < _NOTHING, 0.0, rounded))


def _nothing(kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(0, pa.int64()).cast(kind)


def _text_of(strings: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The UTF-8 bytes of strings without nulls, one after the other, and the length of each."""
    _, places, text = strings.buffers()
    ends = np.frombuffer(places, np.int32)[strings.offset : strings.offset + len(strings) + 1]
    held = np.frombuffer(text, np.uint8) if text is not None else np.empty(0, np.uint8)
    return held[ends[0] : ends[-1]], np.diff(ends).astype(np.int64)
