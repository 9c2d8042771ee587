"""How many different values there are: exactly, up to a thousand, and estimated from the smallest hashes beyond.

A value counts by the first 52 bits of the MD5 digest of its text, which every engine computes alike and a double holds
exactly. Of a set of hashes the `KEPT` smallest are enough: if they are fewer, their number is the answer, and otherwise
the largest of them tells how densely hashes lie (k minimum values; Bar-Yossef, Jayram, Kumar, Sivakumar and Trevisan,
2002; standard error 1 / sqrt(KEPT - 2), about 3 %). The smallest of a union are among the smallest of its parts, so
sets merge in any order to the same answer.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

KEPT = 1024
_HEX_DIGITS = 13
_HASHES = 2.0 ** (4 * _HEX_DIGITS)
NUMERATOR = (KEPT - 1) * _HASHES
"""Of the estimate, whose denominator is the largest of the hashes that are kept."""

Words = npt.NDArray[np.int64]


def hashes_of(texts: Iterable[str | None]) -> npt.NDArray[np.float64]:
    """The hash of each text, in [0, 2**52); NaN for None."""
    return np.array([np.nan if text is None else _hash(text) for text in texts], np.float64)


def hash_sql(text: str) -> str:
    """The same of an expression that is a text, as a DOUBLE."""
    return f"('0x' || substr(md5({text}), 1, {_HEX_DIGITS}))::BIGINT::DOUBLE"


def count_sql(hashes: str) -> str:
    """The answer for an expression that is a list of different hashes."""
    return (
        f"CASE WHEN len({hashes}) >= {KEPT} THEN {_numerator()} / list_sort({hashes})[{KEPT}] "
        f"ELSE coalesce(len({hashes}), 0)::DOUBLE END"
    )


def seen_words(hashes: npt.NDArray[np.float64]) -> Words:
    """Hashes as words of a state, none of which is 0."""
    return hashes.astype(np.int64) << 1 | 1


def _numerator() -> str:
    return f"CAST('{NUMERATOR!r}' AS DOUBLE)"


def _hash(text: str) -> int:
    return int(hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:_HEX_DIGITS], 16)
