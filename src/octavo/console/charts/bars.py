"""Counts per stretch of time, stacked; and single bars for shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from markupsafe import Markup

from octavo.console.charts.scales import Scale, tick_label, ticks, time_ticks
from octavo.console.charts.svg import element, figure
from octavo.console.formatting import percent, whole

WIDTH, HEIGHT = 880, 168
LEFT, RIGHT, TOP, BOTTOM = 52, 96, 12, 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Counts by name, from `start` on."""

    start: datetime
    counts: Mapping[str, int]


def stacked_bars(name: str, buckets: Sequence[Bucket], *, styles: Mapping[str, str]) -> Markup:
    """Bars over time.

    Parameters
    ----------
    buckets : sequence of Bucket
        Of equal length, in order; stretches without any may be absent.
    styles : mapping of name to style
        In the order of stacking, from the bottom.
    """
    if not buckets:
        return Markup("")
    step = _step_s(buckets)
    start, end = buckets[0].start.timestamp(), buckets[-1].start.timestamp() + step
    marks = ticks(0, max(sum(b.counts.values()) for b in buckets), count=3)
    x = Scale(low=start, high=end, start=LEFT, end=WIDTH - RIGHT)
    y = Scale(low=0, high=marks[-1], start=HEIGHT - BOTTOM, end=TOP)
    parts = []
    for mark in marks:
        parts.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(mark), y2=y(mark)))
        parts.append(element("text", tick_label(mark), class_="tick end", x=LEFT - 8, y=y(mark) + 4))
    for at, label in time_ticks(buckets[0].start, buckets[-1].start):
        parts.append(element("text", label, class_="tick middle", x=x(at.timestamp()), y=HEIGHT - 6))
    for bucket in buckets:
        parts += _stack(bucket, styles, x=x, y=y, step=step)
    for row, (arm, style) in enumerate(styles.items()):
        parts.append(element("rect", class_=f"bar {style}", x=WIDTH - RIGHT + 10, y=TOP + row * 18, width=9, height=9))
        parts.append(element("text", arm, class_="tick", x=WIDTH - RIGHT + 24, y=TOP + row * 18 + 8.5))
    return figure(name, parts, width=WIDTH, height=HEIGHT)


def share_bar(share: float, *, name: str, style: str = "one", width: int = 120) -> Markup:
    """One horizontal bar of a share in [0, 1]."""
    filled = max(1.0, width * min(max(share, 0.0), 1.0)) if share > 0 else 0.0
    parts = [
        element("rect", class_="track", x=0, y=3, width=width, height=8, rx=2),
        element("rect", class_=f"bar {style}", x=0, y=3, width=filled, height=8, rx=2),
    ]
    return figure(f"{name}: {percent(share)}", parts, width=width, height=14, kind="inline-chart")


def split_bar(parts: Sequence[tuple[str, float, str]], *, width: int = 320) -> Markup:
    """One bar divided by percentages: (label, percent, style) each."""
    drawn, left = [], 0.0
    for label, share, style in parts:
        size = width * share / 100
        if size <= 0:
            continue
        title = element("title", f"{label}: {share:g} %")
        drawn.append(element("rect", title, class_=f"bar {style}", x=left, y=0, width=max(size - 1, 1.0), height=12))
        left += size
    name = ", ".join(f"{label} {share:g} %" for label, share, _ in parts)
    return figure(f"Traffic: {name}", drawn, width=width, height=12, kind="inline-chart split", stretches=True)


def _step_s(buckets: Sequence[Bucket]) -> float:
    gaps = [(b.start - a.start).total_seconds() for a, b in pairwise(buckets)]
    return min((gap for gap in gaps if gap > 0), default=3_600)


def _stack(bucket: Bucket, styles: Mapping[str, str], *, x: Scale, y: Scale, step: float) -> list[Markup]:
    left, right = x(bucket.start.timestamp()), x(bucket.start.timestamp() + step)
    gap = 1.0 if right - left > 3 else 0.0
    parts, below = [], 0
    for arm, style in styles.items():
        count = bucket.counts.get(arm, 0)
        if count:
            top, bottom = y(below + count), y(below)
            title = element("title", f"{arm}: {whole(count)}, {bucket.start:%Y-%m-%d %H:%M}")
            parts.append(
                element(
                    "rect",
                    title,
                    class_=f"bar {style}",
                    x=left,
                    y=top,
                    width=max(right - left - gap, 0.8),
                    height=max(bottom - top, 0.5),
                )
            )
            below += count
    return parts
