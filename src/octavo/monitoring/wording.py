"""Numbers, spans of time and movements of inputs in words, as they stand in causes, timelines and notices."""

from datetime import timedelta

from octavo.monitoring.inputs import InputLook

_ABSENCE_COUNTS = 0.1
_MINUTES_OF_AN_HOUR = 60
_SAME_MEAN_STD = 0.1
_TIMES = 3.0


def number(value: float) -> str:
    """To three figures: ``0.123``, ``18.4``, ``12,345``."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(share: float) -> str:
    """A share in [0, 1]: ``21 %``."""
    return f"{100 * share:.0f} %"


def span(length: timedelta) -> str:
    """How long something took, or is ago: ``less than a minute``, ``12 min``, ``31 h``."""
    minutes = length / timedelta(minutes=1)
    if minutes < 1:
        return "less than a minute"
    return f"{minutes:.0f} min" if round(minutes) < _MINUTES_OF_AN_HOUR else f"{minutes / _MINUTES_OF_AN_HOUR:.0f} h"


def movement(look: InputLook) -> str:
    """An input and how it differs from training: ``temp 21 % lower (41.2 on average, in training 52.3)``."""
    if abs(look.absent - look.trained_absent) > _ABSENCE_COUNTS:
        return f"{look.name} absent in {percent(look.absent)} (in training {percent(look.trained_absent)})"
    if look.mean is None or look.trained_mean is None:
        return f"{look.name} distributed otherwise"
    averages = f"({number(look.mean)} on average, in training {number(look.trained_mean)})"
    return f"{look.name} {_difference(look.mean, look.trained_mean, std=look.trained_std or 0.0)} {averages}"


def movements(looks: tuple[InputLook, ...], *, most: int = 3) -> str:
    """The first few inputs with how they differ; empty if there are none."""
    return ", ".join(movement(look) for look in looks[:most])


def _difference(mean: float, trained: float, *, std: float) -> str:
    shift = mean - trained
    if abs(shift) <= _SAME_MEAN_STD * std or shift == 0:
        return "distributed otherwise"
    direction = "higher" if shift > 0 else "lower"
    if std and abs(trained) < std / 2:  # a percentage of what is almost nothing says nothing
        return f"{abs(shift) / std:.1f} standard deviations {direction}"
    if trained == 0:
        return direction
    if mean / trained >= _TIMES:
        return f"{mean / trained:.1f} times as {'high' if mean > 0 else 'low'}"
    return f"{percent(abs(shift / trained))} {direction}"
