"""The loop that reads rows of JSON of a known form. Heavy: numba compiles it, which ``python -m`` this does apart."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from octavo.features.online.compiled import Floats, Octets, compiled, inlined
from octavo.processes import follow_supervisor
from octavo.serving.json_forms import FLOAT, MOST_WORDS, TEXT, TRUTH, WHOLE

Wholes: TypeAlias = npt.NDArray[np.int64]

_MANY, _FAR, _MOST_TENS, _LARGEST, _EXACT = 10**17, 1000, 22, 1e38, 2**53
_TENS = np.array([10.0**n for n in range(_MOST_TENS + 1)])
_SPLIT, _DOUBT = 2.0**27 + 1, 2.0**-40
_QUOTE, _MINUS, _PLUS, _POINT, _ZERO, _BACKSLASH, _SPACE = 34, 45, 43, 46, 48, 92, 32
_UPPER_E, _LOWER_E = 69, 101
_NULL = np.frombuffer(b"null", np.uint8)
_TRUE, _FALSE = np.frombuffer(b"true", np.uint8), np.frombuffer(b"false", np.uint8)


@compiled
def read(
    body: Octets,
    at: int,
    form: Octets,
    ends: Wholes,
    kinds: Wholes,
    may_lack: npt.NDArray[np.bool_],
    floats: Floats,
    wholes: Wholes,
    words: Wholes,
) -> tuple[int, int, int]:
    """Read rows that all have the same bytes between their values.

    Parameters
    ----------
    body, at
        The first row's brace is at that place.
    form, ends
        The bytes before each value, and those between a row's last value and the next row, one after the other; where
        each of these pieces ends.
    kinds, may_lack
        Of each value; whether it may be null.
    floats, wholes : shape (n_fields, n_rows)
        Take the values, in those lines that are of their kinds; of texts the place among the words.
    words : shape (n_fields, `MOST_WORDS`, 2)
        Takes where each different text begins and how long it is; -1 where there are no more.

    Returns
    -------
    n_rows, n_nulls, at
        The place is behind the last value. No rows if a value is none that is certain to be read rightly.
    """
    n_fields, most, n_rows, n_nulls = len(kinds), floats.shape[1], 0, 0
    while True:
        if n_rows == most:
            return 0, 0, at
        begins = 0
        for field in range(n_fields):
            size = ends[field] - begins
            if not _stands(body, at, form, begins, size):
                return 0, 0, at
            at += size
            begins = ends[field]
            kind = kinds[field]
            if kind == TEXT:
                at, place = _text(body, at, words[field])
                if place < 0:
                    return 0, 0, at
                wholes[field, n_rows] = place
            elif kind == TRUTH:
                is_true = _stands(body, at, _TRUE, 0, 4)
                if not is_true and not _stands(body, at, _FALSE, 0, 5):
                    return 0, 0, at
                wholes[field, n_rows] = 1 if is_true else 0
                at += 4 if is_true else 5
            elif may_lack[field] and kind == FLOAT and _stands(body, at, _NULL, 0, 4):
                floats[field, n_rows] = np.nan
                n_nulls += 1
                at += 4
            else:
                is_sound, at, is_negative, digits, tens, is_whole = _number(body, at)
                if not is_sound or (kind == WHOLE and not is_whole):
                    return 0, 0, at
                if kind == WHOLE:
                    wholes[field, n_rows] = -digits if is_negative else digits
                else:
                    is_certain, value = _nearest(digits, tens)
                    if not is_certain:
                        return 0, 0, at
                    is_below = is_negative and (digits > 0 or not is_whole)  # as a whole number -0 is 0
                    floats[field, n_rows] = -value if is_below else value
        n_rows += 1
        size = ends[n_fields] - begins
        if not _stands(body, at, form, begins, size):
            return n_rows, n_nulls, at
        at += size


@inlined
def _stands(body: Octets, at: int, form: Octets, begins: int, size: int) -> bool:
    if at + size > len(body):
        return False
    for place in range(size):  # noqa: SIM110  # numba compiles no generator
        if body[at + place] != form[begins + place]:
            return False
    return True


@inlined
def _text(body: Octets, at: int, words: Wholes) -> tuple[int, int]:
    """Where a text ends, and its place among the words; less than 0 if it is none, or has an escape."""
    if at >= len(body) or body[at] != _QUOTE:
        return at, -1
    begins = at = at + 1
    while at < len(body) and body[at] != _QUOTE:
        if body[at] == _BACKSLASH or body[at] < _SPACE:
            return at, -1
        at += 1
    size = at - begins
    if at == len(body):
        return at, -1
    for place in range(MOST_WORDS):
        first = words[place, 0]
        if first < 0:
            words[place, 0], words[place, 1] = begins, size
            return at + 1, place
        if words[place, 1] == size and _stands(body, begins, body, first, size):
            return at + 1, place
    return at, -1


@inlined
def _number(body: Octets, at: int) -> tuple[bool, int, bool, int, int, bool]:
    """Whether a number stands there of few digits, its end, whether it is negative, its digits and times ten to what.

    The last is whether it is written as a whole number.
    """
    end = len(body)
    is_negative = at < end and body[at] == _MINUS
    if is_negative:
        at += 1
    digits, tens, begins = 0, 0, at
    while at < end and _ZERO <= body[at] <= _ZERO + 9:
        if digits >= _MANY:
            return False, at, is_negative, 0, 0, False
        digits = 10 * digits + (int(body[at]) - _ZERO)
        at += 1
    if at == begins or (body[begins] == _ZERO and at > begins + 1):
        return False, at, is_negative, 0, 0, False
    is_whole = True
    if at < end and body[at] == _POINT:
        is_whole = False
        at += 1
        begins = at
        while at < end and _ZERO <= body[at] <= _ZERO + 9:
            if digits >= _MANY:
                return False, at, is_negative, 0, 0, False
            digits = 10 * digits + (int(body[at]) - _ZERO)
            at += 1
        if at == begins:
            return False, at, is_negative, 0, 0, False
        tens = begins - at
    if at < end and (body[at] == _LOWER_E or body[at] == _UPPER_E):
        is_whole = False
        at += 1
        sign = 1
        if at < end and (body[at] == _MINUS or body[at] == _PLUS):
            sign = -1 if body[at] == _MINUS else 1
            at += 1
        begins, power = at, 0
        while at < end and _ZERO <= body[at] <= _ZERO + 9:
            power = 10 * power + (int(body[at]) - _ZERO) if power < _FAR else _FAR
            at += 1
        if at == begins:
            return False, at, is_negative, 0, 0, False
        tens += sign * power
    return True, at, is_negative, digits, tens, is_whole


@inlined
def _nearest(digits: int, tens: int) -> tuple[bool, float]:
    """Whether it is certain, and the number that is nearest to some digits times a power of ten.

    As long as both are exact as floats one operation rounds to it; beyond that (Clinger 1990) the rest is computed
    too, and where it could matter how that was rounded, nothing is certain.
    """
    if digits == 0 or tens == 0:
        return True, np.float64(digits)
    if tens < -_MOST_TENS or tens > _MOST_TENS:
        return False, 0.0
    power = _TENS[abs(tens)]
    high = np.float64(digits)
    if digits <= _EXACT:
        value = high / power if tens < 0 else high * power
        return value <= _LARGEST, value
    low = np.float64(digits - np.int64(high))
    if tens < 0:
        value = high / power
        product, error = _product(value, power)
        rest = (((high - product) - error) + low) / power
    else:
        value, error = _product(high, power)
        rest = error + low * power
    doubt = abs(rest) * _DOUBT
    nearest = value + rest
    return nearest <= _LARGEST and value + (rest - doubt) == nearest == value + (rest + doubt), nearest


@inlined
def _product(one: float, other: float) -> tuple[float, float]:
    """A product, and what its rounding took from it (Dekker 1971)."""
    product = one * other
    scaled = _SPLIT * one
    high = scaled - (scaled - one)
    low = one - high
    scaled = _SPLIT * other
    other_high = scaled - (scaled - other)
    other_low = other - other_high
    return product, ((high * other_high - product) + high * other_low + low * other_high) + low * other_low


def compile_read() -> None:
    """Compile `read`, or load what another process has kept of it on this machine."""
    field, nothing = np.zeros(1, np.int64), np.frombuffer(b" ", np.uint8)  # of bytes, for which machine code is another
    read(
        nothing,
        0,
        nothing,
        np.ones(2, np.int64),
        field,
        np.zeros(1, np.bool_),
        np.zeros((1, 1)),
        np.zeros((1, 1), np.int64),
        np.zeros((1, MOST_WORDS, 2), np.int64),
    )


def is_kept() -> bool:
    """Whether what is compiled is kept on disk; there may be no place for it."""
    return read.stats.cache_path is not None  # type: ignore[attr-defined]  # of what numba makes of it


if __name__ == "__main__":
    follow_supervisor()
    compile_read()
