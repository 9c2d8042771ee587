"""Functions that run apart: one process for each version's or composite's own."""

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.config import PredictorSettings
from octavo.definitions.types import DType, size_bytes
from octavo.errors import ConfigurationError, InvalidDefinition
from octavo.serving.apart.kept import KeptProcess
from octavo.serving.apart.messages import AFTER, ALL, Ask, Begin, Column, taken
from octavo.serving.code import Code
from octavo.serving.functions import Columns, Functions, Values
from octavo.serving.metrics import Family, Sample

_ZEROS: Mapping[DType, npt.NDArray[Any]] = {
    DType.INT64: np.zeros(1, np.int64),
    DType.BOOL: np.zeros(1, np.bool_),
    DType.TIMESTAMP: np.zeros(1, "datetime64[us]"),
    DType.STRING: np.array([""], object),
    DType.CATEGORY: np.array([""], object),
}
_NUMBER = np.zeros(1)

_Named = tuple[str, tuple[str, ...]]
_Key = tuple[str, str, tuple[_Named, ...], _Named | None]
"""Whose functions, the digest of their code, which of them, and what comes after the model."""


class FunctionsApart:
    """Functions in a process of their own, which ends when this is no longer used.

    Parameters
    ----------
    functions : sequence of (str, tuple of str)
        The name and the inputs of each.
    kept : KeptProcess
        That was started.
    after : (str, tuple of str) or None
        As one of `functions`, what comes after the model.
    """

    def __init__(self, functions: Sequence[_Named], kept: KeptProcess, *, after: _Named | None = None) -> None:
        self._after = () if after is None else after[1]
        self.kept = kept
        self._names = [name for name, _ in functions]
        self._taken = {"": taken(functions)} | dict(functions)
        weakref.finalize(self, kept.retire)

    async def answer(self, columns: Columns, n_rows: int) -> npt.NDArray[np.float64]:
        """See `octavo.serving.functions.Functions.answer`."""
        sent = [Column.of(columns[name]) for name in self._after]
        return np.frombuffer(await self.kept.ask(n_rows, sent, only=AFTER), np.float64)

    async def compute(self, columns: Columns, n_rows: int, *, only: str = "") -> Values:
        """See `octavo.serving.functions.Functions.compute`."""
        names, place = ([only], self._names.index(only)) if only else (self._names, ALL)
        sent = [Column.of(columns[name]) for name in self._taken[only]]
        values = np.frombuffer(await self.kept.ask(n_rows, sent, only=place), np.float64)
        return dict(zip(names, values.reshape(len(names), n_rows), strict=True))


class Apart:
    """Opens functions, each code in a process of its own; versions with the same code and functions share one.

    Parameters
    ----------
    settings : PredictorSettings

    Raises
    ------
    ConfigurationError
        If `code_memory` is no size.
    """

    def __init__(self, settings: PredictorSettings) -> None:
        self._timeout_s = settings.code_timeout_ms / 1000
        self._memory_bytes = _memory_bytes(settings)
        self._open: weakref.WeakValueDictionary[_Key, FunctionsApart] = weakref.WeakValueDictionary()

    def open(self, code: Code) -> Functions:
        """Start a process and wait until it has loaded the code.

        Raises
        ------
        IntegrityError
            If the code does not load, lacks a function, takes the process down, or has a function after the model that
            does not answer as it did.
        """
        key = (code.of, code.digest, code.functions, code.after)
        known = self._open.get(key)
        if known is None:
            known = self._open[key] = self._started(code)
        elif code.proof is not None:
            self._started(code)  # to be proven, and to end: the other process may be asked by its loop only
        return known

    def families(self) -> list[Family]:
        """What became of the processes, by whose functions they run and the digest of their code."""
        kept = {code: one.kept for code, one in list(self._open.items())}
        return [
            Family(
                "octavo_functions_restarts_total",
                "counter",
                "How often the process of a version's or composite's functions was started again.",
                _samples({code: one.counts.restarts for code, one in kept.items()}),
            ),
            Family(
                "octavo_functions_timeouts_total",
                "counter",
                "Processes of functions that gave no answer in time.",
                _samples({code: one.counts.timeouts for code, one in kept.items()}),
            ),
            Family(
                "octavo_functions_resident_memory_bytes",
                "gauge",
                "Resident memory size of the processes of functions.",
                _samples({code: one.resident_bytes for code, one in kept.items()}),
            ),
        ]

    def _started(self, code: Code) -> FunctionsApart:
        begin = Begin(
            modules=code.modules,
            functions=code.functions,
            memory_bytes=self._memory_bytes,
            is_chained=code.is_chained,
            after=code.after,
        )
        first = ALL if code.is_chained else 0
        dtypes = [code.dtypes.get(name, DType.FLOAT64) for name in taken(code.functions, first)]
        warm_up = Ask(0, first, 1, [Column.of(_ZEROS.get(dtype, _NUMBER)) for dtype in dtypes])
        kept = KeptProcess(begin, warm_up, timeout_s=self._timeout_s, of=code.of)
        kept.start()
        functions = FunctionsApart(code.functions, kept, after=code.after)  # from here on its end is the process's
        if code.after is not None and code.proof is not None:
            said = code.proof.said
            columns = [Column.of(said.columns[name]) for name in code.after[1]]
            code.proof.check(np.frombuffer(kept.ask_first(Ask(0, AFTER, said.n_rows, columns)), np.float64))
        return functions


def _samples(numbers: Mapping[_Key, int]) -> tuple[Sample, ...]:
    sums: dict[tuple[str, str], int] = {}
    for (of, digest, *_), number in numbers.items():
        sums[of, digest] = sums.get((of, digest), 0) + number
    return tuple(Sample(number, {"of": of, "code": digest[:12]}) for (of, digest), number in sums.items())


def _memory_bytes(settings: PredictorSettings) -> int:
    try:
        return size_bytes(settings.code_memory)
    except InvalidDefinition as error:
        raise ConfigurationError(
            f"[predictor] code_memory: {error.message}", setting="predictor.code_memory"
        ) from error
