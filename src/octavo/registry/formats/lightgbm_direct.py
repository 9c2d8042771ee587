"""LightGBM's C interface without its Python one, which takes five times as long as one row's trees."""

import ctypes
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.errors import IntegrityError

Floats = npt.NDArray[np.float64]
_NORMAL, _FLOAT32, _ROW_MAJOR = 0, 0, 1
_FROM, _ALL = 0, -1
_SETTINGS = b"num_threads=1"


class DirectBooster:
    """A booster that answers rows of float32, on one thread.

    Parameters
    ----------
    booster
        A ``lightgbm.Booster`` of one output; kept as long as this is.
    """

    def __init__(self, booster: Any) -> None:
        from lightgbm import basic

        library = basic._LIB  # type: ignore[attr-defined]  # the C interface that the package itself loads
        self._lib, self._booster = library, booster
        self._handle: ctypes.c_void_p = booster._handle
        self._n_inputs = int(booster.num_feature())
        self._row, self._answer = np.zeros(self._n_inputs, np.float32), np.zeros(1, np.float64)
        self._answered = ctypes.c_int64()
        self._fast = ctypes.c_void_p()
        self._call(
            library.LGBM_BoosterPredictForMatSingleRowFastInit(
                self._handle, _NORMAL, _FROM, _ALL, _FLOAT32, self._n_inputs, _SETTINGS, ctypes.byref(self._fast)
            )
        )
        weakref.finalize(self, library.LGBM_FastConfigFree, self._fast)
        self._of_one = (
            self._fast,
            ctypes.c_void_p(self._row.ctypes.data),
            ctypes.byref(self._answered),
            ctypes.c_void_p(self._answer.ctypes.data),
        )

    def predict(self, rows: npt.NDArray[Any]) -> Floats:
        """Predictions, shape (n_rows,), for rows of shape (n_rows, n_inputs); rounded to float32."""
        if rows.shape[1] != self._n_inputs:
            raise IntegrityError(f"the LightGBM model takes {self._n_inputs} columns, not {rows.shape[1]}")
        if len(rows) == 1:
            self._row[:] = rows[0]
            self._call(self._lib.LGBM_BoosterPredictForMatSingleRowFast(*self._of_one))
            return self._answer.copy()
        return self._of_many(np.ascontiguousarray(rows, dtype=np.float32))

    def _of_many(self, rows: npt.NDArray[np.float32]) -> Floats:
        answers = np.empty(len(rows), np.float64)
        self._call(
            self._lib.LGBM_BoosterPredictForMat(
                self._handle,
                ctypes.c_void_p(rows.ctypes.data),
                _FLOAT32,
                len(rows),
                self._n_inputs,
                _ROW_MAJOR,
                _NORMAL,
                _FROM,
                _ALL,
                _SETTINGS,
                ctypes.byref(self._answered),
                ctypes.c_void_p(answers.ctypes.data),
            )
        )
        return answers

    def _call(self, failed: int) -> None:
        if failed:
            reason = ctypes.c_char_p(self._lib.LGBM_GetLastError()).value or b""
            raise IntegrityError(f"LightGBM does not answer: {reason.decode(errors='replace')}")
