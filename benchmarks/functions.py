"""What the benchmarks' model computes per request; this file travels in its bundle."""

from typing import Any

import numpy as np
import numpy.typing as npt

import octavo as oc

Array = npt.NDArray[Any]


@oc.on_demand
def hour(departed: Array) -> Array:
    hours: Array = (departed.astype("datetime64[h]").astype(np.int64) % 24).astype(np.float64)
    return hours


@oc.on_demand
def weekday(departed: Array) -> Array:
    days: Array = ((departed.astype("datetime64[D]").astype(np.int64) + 3) % 7).astype(np.float64)
    return days
