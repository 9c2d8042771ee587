"""Predictions as messages in JSON, for who reads them outside of the platform."""

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from octavo.errors import OctavoError, Unavailable
from octavo.features.values import FeatureStatus
from octavo.monitoring.predictions import input_names
from octavo.stores.ports import Stores

_WORDS = tuple(status.word for status in FeatureStatus)


class MessageWriter:
    """Makes messages of rows of the table of predictions.

    Parameters
    ----------
    stores : Stores
        Of which the bundles say what the inputs are called.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._names: dict[tuple[str, str], tuple[str, ...]] = {}
        self._encode = msgspec.json.Encoder().encode

    def write(self, rows: pa.Table) -> list[tuple[str, bytes]]:
        """The id and the message of each row.

        Entities, request, inputs, status and ages are objects by name. Those without an age, and with a status of
        ``present``, are left out of the latter two. What JSON has no number for is null. The names of a bundle that is
        gone are not known any more; its inputs are named by their places, ``0`` the first.

        Raises
        ------
        Unavailable
            If the bundles cannot be reached now.
        """
        return [(row["id"], self._encode(self._message(row))) for row in rows.to_pylist()]

    def _message(self, row: dict[str, Any]) -> dict[str, Any]:
        values, ages = (np.frombuffer(row[column], "<f4").tolist() for column in ("inputs", "ages_s"))
        names = self._names_of(row["model"], row["digest"])
        if len(names) != len(values):
            names = tuple(map(str, range(len(values))))
        changes = {
            "entities": msgspec.Raw(row["entities"].encode()),
            "request": msgspec.Raw(row["request"].encode()),
            "inputs": dict(zip(names, values, strict=True)),
            "status": {name: _WORDS[status] for name, status in zip(names, row["status"], strict=False) if status},
            "ages_s": {name: age for name, age in zip(names, ages, strict=False) if age == age},  # NaN differs
        }
        return row | changes

    def _names_of(self, model: str, digest: str) -> tuple[str, ...]:
        if (model, digest) not in self._names:
            try:
                self._names[model, digest] = input_names(self._stores, model=model, digest=digest)
            except Unavailable:
                raise
            except OctavoError:
                return ()
        return self._names[model, digest]
