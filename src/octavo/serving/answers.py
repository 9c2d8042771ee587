"""What a caller is answered with: columns of predictions, which each door writes in its own form."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.features.values import FeatureStatus
from octavo.serving.ids import ID_LETTERS, Ids
from octavo.serving.models import LoadedModel

_REMEMBERED = 4096
_FEW = 64
_PRESENT = int(FeatureStatus.PRESENT)


class Share(NamedTuple):
    """Rows of an answer that one version predicted.

    Attributes
    ----------
    rows : slice or ndarray of int
        Their places in the answer.
    arm : str
        ``live``, ``canary`` or the like.
    model : LoadedModel
        Who predicted.
    words : StatusWords
        Of the version's inputs.
    status : ndarray, shape (n_rows, n_inputs), uint8, or None
        `FeatureStatus`; None where every input of every row is present.
    inputs : ndarray, shape (n_rows, n_inputs), float32
        What the model was given.
    """

    rows: slice | npt.NDArray[np.intp]
    version: int
    arm: str
    model: LoadedModel
    words: "StatusWords"
    status: npt.NDArray[np.uint8] | None
    inputs: npt.NDArray[np.float32]


class Predictions:
    """The predictions of one request, by columns in the order of its rows.

    Attributes
    ----------
    deployment, model : str
    ids : Ids
        Time-ordered UUIDs.
    values : ndarray, shape (n_rows,), float64
        The predicted values, or probabilities; all finite.
    shares : sequence of Share
        Who predicted which rows; each row is in one of them.
    degraded : bool
        Whether the online store or the record of predictions could not be reached, or the store lacks a view.
    """

    __slots__ = ("_versions", "degraded", "deployment", "ids", "model", "shares", "values")

    def __init__(
        self,
        deployment: str,
        model: str,
        *,
        ids: Ids,
        values: npt.NDArray[np.float64],
        shares: Sequence[Share],
        degraded: bool = False,
    ) -> None:
        self.deployment, self.model = deployment, model
        self.ids, self.values, self.shares, self.degraded = ids, values, shares, degraded
        self._versions: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def versions(self) -> npt.NDArray[np.int64]:
        """The version that predicted each row, shape (n_rows,)."""
        if self._versions is None:
            self._versions = np.zeros(len(self), np.int64)
            for share in self.shares:
                self._versions[share.rows] = share.version
        return self._versions

    @property
    def version(self) -> int | None:
        """The version that predicted all rows; None if several did."""
        first = self.shares[0].version
        return first if all(share.version == first for share in self.shares) else None


class Together:
    """The predictions of one version for several requests, whose rows follow each other.

    Parameters
    ----------
    deployment, model : str
    version : int
    arm : str
    ids : Ids
    values : ndarray, shape (n_rows,), float64
    share : Share
        Of all rows.
    degraded : bool
        See `Predictions`.
    """

    __slots__ = ("_bodies", "degraded", "deployment", "ids", "model", "share", "values")

    def __init__(
        self,
        deployment: str,
        model: str,
        *,
        ids: Ids,
        values: npt.NDArray[np.float64],
        share: Share,
        degraded: bool = False,
    ) -> None:
        self.deployment, self.model = deployment, model
        self.ids, self.values, self.share, self.degraded = ids, values, share, degraded
        self._bodies: list[bytes] = []

    def part(self, first: int, last: int) -> Predictions:
        """Those of the rows from `first` up to `last`, as one request's."""
        share, status = self.share, self.share.status
        part = share._replace(inputs=share.inputs[first:last], status=None if status is None else status[first:last])
        return Predictions(
            self.deployment,
            self.model,
            ids=self.ids.part(first, last),
            values=self.values[first:last],
            shares=[part],
            degraded=self.degraded,
        )

    @property
    def bodies(self) -> list[bytes]:
        """Of each row an answer to it alone, as JSON; made of all at once."""
        if not self._bodies:
            self._bodies = self._encoded()
        return self._bodies

    def _encoded(self) -> list[bytes]:
        head, tail = _frame(self.deployment, self.model, self.degraded)
        share, status = self.share, self.share.status
        if status is None:
            rests: Iterable[str] = repeat(_rest_of(share), len(self.ids))
        else:
            features = share.words.by_row(status)
            rest_of = {words: _rest_of(share, features=words) for words in set(features)}
            rests = [rest_of[words] for words in features]
        rows = zip(self.ids.texts, _numbers(self.values), rests, strict=True)
        return [f'{head}{{"id":"{one}","value":{number}{rest}{tail}'.encode() for one, number, rest in rows]


def encode_answer(
    answer: Predictions, *, with_values: bool = False, reasons: Sequence[str] | None = None, live: str = "live"
) -> bytes:
    """An answer as JSON.

    Parameters
    ----------
    reasons : sequence of str or None
        With which each row's object ends, as `octavo.serving.explaining.explained` gives it.
    with_values : bool
        Whether it shall hold the inputs themselves; null where the model was given NaN.
    live : str
        The arm that is not named.
    """
    head, tail = _frame(answer.deployment, answer.model, answer.degraded)
    share = answer.shares[0]
    are_alike = share.status is None and not with_values and reasons is None and len(answer.shares) == 1
    if are_alike and len(answer) > _FEW:
        return _alike(answer, head, _rest_of(share, live=live), tail)
    if are_alike:
        rests = [_rest_of(share, live=live)] * len(answer)
    else:
        rests = _rests(answer, with_values=with_values, live=live)
    if reasons is not None:
        rests = [f"{rest[:-1]}{told}}}" for rest, told in zip(rests, reasons, strict=True)]
    ids, values = answer.ids.texts, _numbers(answer.values)
    rows = [f'{{"id":"{one}","value":{value}{rest}' for one, value, rest in zip(ids, values, rests, strict=True)]
    return f"{head}{','.join(rows)}{tail}".encode()


def _rest_of(share: Share, *, features: str = "", values: str = "", live: str = "live") -> str:
    """What follows the value in a row."""
    return _rest(share.version, "" if share.arm == live else share.arm, features, values)


def _alike(answer: Predictions, head: str, rest: str, tail: str) -> bytes:
    """An answer of many rows that all end with the same: written around their numbers, then the ids into the gaps."""
    numbers, first = _digits(answer.values), f'{head}{{"id":"'.encode()
    to_value, to_id = b'","value":', f'{rest},{{"id":"'.encode()
    gap = to_id + bytes(ID_LETTERS) + to_value
    written = first + gap[len(to_id) :] + numbers.replace(b",", gap) + f"{rest}{tail}".encode()
    ends = np.flatnonzero(np.frombuffer(numbers, np.uint8) == ord(","))  # of all numbers but the last
    shifts = len(first) + len(gap) + (len(gap) - 1) * np.arange(len(ends))
    body = bytearray(written)
    anywhere = np.ndarray(len(body) - ID_LETTERS + 1, f"V{ID_LETTERS}", body, strides=1)
    anywhere[np.append(len(first), ends + shifts)] = answer.ids.letters.view(anywhere.dtype)[:, 0]
    return bytes(body)


def _numbers(values: npt.NDArray[np.float64]) -> list[str]:
    """Finite numbers as JSON; made of all at once, which takes a sixth of the time."""
    return _digits(values).decode().split(",")


def _digits(values: npt.NDArray[np.float64]) -> bytes:
    return msgspec.json.encode(values.tolist())[1:-1]


def statuses_by_row(answer: Predictions) -> list[str]:
    """Of each row the statuses of those inputs that are not present, as a JSON object; empty where all are."""
    found = [""] * len(answer)
    for share in answer.shares:
        if share.status is not None:
            for place, words in zip(places_of(share, len(answer)), share.words.by_row(share.status), strict=True):
                found[place] = words
    return found


def values_by_row(answer: Predictions) -> list[str]:
    """Of each row its inputs, as a JSON object; null where the model was given NaN."""
    found = [""] * len(answer)
    for share in answer.shares:
        for number, place in enumerate(places_of(share, len(answer))):
            found[place] = share.words.values(share.inputs[number])
    return found


def places_of(share: Share, n_rows: int) -> Sequence[int]:
    """Where the rows of a share stand in an answer."""
    return range(n_rows)[share.rows] if isinstance(share.rows, slice) else share.rows.tolist()


def _rests(answer: Predictions, *, with_values: bool, live: str) -> list[str]:
    """What follows the value of each row."""
    n_rows = len(answer)
    rests, features = [""] * n_rows, statuses_by_row(answer)
    values = values_by_row(answer) if with_values else [""] * n_rows
    for share in answer.shares:
        for place in places_of(share, n_rows):
            rests[place] = _rest_of(share, features=features[place], values=values[place], live=live)
    return rests


@lru_cache(_REMEMBERED)
def _frame(deployment: str, model: str, degraded: bool) -> tuple[str, str]:  # a key of the cache
    names = msgspec.json.encode({"deployment": deployment, "model": model}).decode()
    return f'{names[:-1]},"predictions":[', '],"degraded":true}' if degraded else "]}"


@lru_cache(_REMEMBERED)
def _rest(version: int, arm: str, features: str, values: str) -> str:
    parts = [f',"version":{version}']
    if features:
        parts.append(f',"features":{features}')
    if arm:
        parts.append(f',"arm":{msgspec.json.encode(arm).decode()}')
    if values:
        parts.append(f',"values":{values}')
    return "".join([*parts, "}"])


class StatusWords:
    """The statuses of those of a row's inputs that are not present, as JSON; rows with the same statuses share theirs.

    Parameters
    ----------
    inputs : sequence of str
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self._inputs = tuple(inputs)
        self._words = {int(status): status.word for status in FeatureStatus}
        self._known: dict[bytes, str] = {}

    def by_row(self, status: npt.NDArray[np.uint8]) -> list[str]:
        """Of each row of statuses, shape (n_rows, n_inputs), a JSON object; empty where all are present."""
        data, width = status.tobytes(), status.shape[1]
        rows = [data[start : start + width] for start in range(0, len(data), width or 1)] or [b""] * len(status)
        known = self._known
        return [known[row] if row in known else self._remember(row) for row in rows]

    def values(self, inputs: npt.NDArray[np.float32]) -> str:
        """The JSON object of one row's inputs, shape (n_inputs,)."""
        return msgspec.json.encode(dict(zip(self._inputs, inputs.tolist(), strict=True))).decode()

    def _remember(self, status: bytes) -> str:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        words = {name: self._words[one] for name, one in zip(self._inputs, status, strict=True) if one != _PRESENT}
        text = self._known[status] = msgspec.json.encode(words).decode() if words else ""
        return text
