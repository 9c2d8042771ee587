"""Local time and categories, vectorised for use inside on-demand features; and whether a calendar can be read."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from octavo.errors import InvalidDefinition

_QUARTER_HOUR_S = 900


def local_time(moments: npt.NDArray[np.datetime64], zone: str) -> npt.NDArray[np.datetime64]:
    """Wall-clock time in a zone.

    Parameters
    ----------
    moments : ndarray, shape (n,), datetime64[us], UTC
    zone : str
        An IANA name such as ``America/New_York``.

    Returns
    -------
    ndarray, shape (n,), datetime64[us], without zone; NaT stays NaT.
    """
    quarters = moments.astype("datetime64[s]").astype(np.int64) // _QUARTER_HOUR_S
    distinct, place = np.unique(quarters, return_inverse=True)
    nat = np.iinfo(np.int64).min // _QUARTER_HOUR_S
    offsets = np.array([0 if q <= nat else _offset_s(int(q), zone) for q in distinct], dtype="timedelta64[s]")
    local: npt.NDArray[np.datetime64] = moments + offsets[place]
    return local


@lru_cache(maxsize=65_536)
def _offset_s(quarter: int, zone: str) -> int:
    """Seconds east of UTC. Offsets change only at whole quarters of an hour."""
    offset = datetime.fromtimestamp(quarter * _QUARTER_HOUR_S, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def category(values: npt.NDArray[np.object_], known: Sequence[str]) -> npt.NDArray[np.float64]:
    """The place of each string in a list of known ones; NaN for any other.

    Parameters
    ----------
    values : ndarray, shape (n,), object
    known : sequence of str
    """
    codes = {name: float(code) for code, name in enumerate(known)}
    return np.array([codes.get(value, np.nan) for value in values], dtype=np.float64)


def check_calendar(expression: str, zone: str) -> None:
    """Refuse a calendar that cannot be read.

    Raises
    ------
    InvalidDefinition
        If the expression is no cron expression of five fields, or the zone is no IANA name.
    """
    from croniter import croniter  # costs as much as the rest of the authoring API, and few projects declare one

    if len(expression.split()) != 5 or not croniter.is_valid(expression):
        raise InvalidDefinition(
            f"{expression!r} is no cron expression; write minute, hour, day, month and weekday: '0 3 * * *'"
        )
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidDefinition(f"{zone!r} is no time zone; write an IANA name such as 'Europe/London'") from error
