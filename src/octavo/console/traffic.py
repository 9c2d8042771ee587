"""Traffic as pages show it: summed by version, and drawn by the hour."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from octavo.console.charts.bars import Bucket, stacked_bars
from octavo.console.charts.lines import Marker, Point, Series, line_chart
from octavo.console.formatting import microseconds, moment, whole
from octavo.monitoring.traffic import Traffic, TrafficHour
from octavo.release.releases import Release, ReleaseState

_STYLES = ("one", "two", "three", "five", "four")
_MOST_LINES = len(_STYLES)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Predictions of a stretch of time.

    Attributes
    ----------
    p50_us, p99_us : float or None
        Latency in the newest hour of the stretch that had any, of the version that answered most and of the slowest;
        None without traffic.
    """

    rows: int = 0
    failed: int = 0
    p50_us: float | None = None
    p99_us: float | None = None
    newest: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A chart and its values as a table."""

    svg: Markup
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def volume(hours: Iterable[TrafficHour]) -> Volume:
    """Sum hours up."""
    found = list(hours)
    if not found:
        return Volume()
    start = max(hour.hour for hour in found)
    newest = [hour for hour in found if hour.hour == start]
    return Volume(
        rows=sum(hour.rows for hour in found),
        failed=sum(hour.failed for hour in found),
        p50_us=max(newest, key=lambda hour: hour.rows).latency_p50_us,
        p99_us=max(hour.latency_p99_us for hour in newest),
        newest=start,
    )


def answered(traffic: Traffic) -> list[TrafficHour]:
    """What callers were answered: all but shadows."""
    return [hour for hour in traffic.hours if hour.arm != "shadow"]


def since(traffic: Traffic, start: datetime) -> list[TrafficHour]:
    """What callers were answered from a moment on."""
    return [hour for hour in answered(traffic) if hour.hour >= start]


def version_styles(versions: Iterable[int], *, live: int | None) -> dict[int, str]:
    """A style for each of the newest versions: the live one's line is solid, the others' are broken."""
    newest = sorted(set(versions), reverse=True)[:_MOST_LINES]
    first = [version for version in newest if version == live]
    others = [version for version in newest if version != live]
    return dict(zip([*first, *others], _STYLES if first else _STYLES[1:], strict=False))


def requests_chart(traffic: Traffic, styles: Mapping[int, str]) -> Drawing:
    """Answered predictions per hour, by version."""
    hours = [hour for hour in answered(traffic) if hour.version in styles]
    names = {version: f"version {version}" for version in sorted(styles) if any(h.version == version for h in hours)}
    buckets: dict[datetime, dict[str, int]] = {}
    for hour in hours:
        counts = buckets.setdefault(hour.hour, {})
        counts[names[hour.version]] = counts.get(names[hour.version], 0) + hour.rows
    ordered = [Bucket(start=start, counts=counts) for start, counts in sorted(buckets.items())]
    svg = stacked_bars("Predictions per hour", ordered, styles={name: styles[v] for v, name in names.items()})
    rows = tuple((moment(b.start), *(whole(b.counts.get(name, 0)) for name in names.values())) for b in ordered)
    return Drawing(svg=svg, columns=("Hour", *names.values()), rows=rows)


def latency_chart(traffic: Traffic, styles: Mapping[int, str], markers: Sequence[Marker]) -> Drawing:
    """The 99th percentile of latency per hour, by version."""
    lines: dict[int, dict[datetime, float]] = {}
    for hour in answered(traffic):
        if hour.version in styles:
            lines.setdefault(hour.version, {})[hour.hour] = hour.latency_p99_us
    series = [
        Series(
            name=f"version {version}",
            style=styles[version],
            points=_broken(points),
        )
        for version, points in sorted(lines.items())
    ]
    svg = line_chart("Latency, 99th percentile per hour", series, unit="ms", markers=markers)
    moments = sorted({at for points in lines.values() for at in points})
    rows = tuple((moment(at), *(microseconds(lines[v].get(at)) for v in sorted(lines))) for at in moments)
    return Drawing(svg=svg, columns=("Hour", *(f"version {v}" for v in sorted(lines))), rows=rows)


def _broken(points: Mapping[datetime, float]) -> list[Point]:
    """Points in milliseconds, with a gap wherever an hour had no traffic."""
    found: list[Point] = []
    for at, value in sorted(points.items()):
        if found and at - found[-1].at > _HOUR:
            found.append(Point(at=found[-1].at + _HOUR, value=None))
        found.append(Point(at=at, value=value / 1000))
    return found


def live_markers(releases: Iterable[Release]) -> list[Marker]:
    """When each version went live."""
    return [
        Marker(at=step.at, label=f"{release.version} live")
        for release in releases
        for step in release.history
        if step.state is ReleaseState.LIVE
    ]
