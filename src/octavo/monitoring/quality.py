"""Quality: inputs that arrive without a value far more often than in training."""

from octavo.definitions.deployments import Monitor
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import IncidentKind
from octavo.monitoring.inputs import InputLook
from octavo.monitoring.wording import percent

_MOST_NAMED = 3


def judge_quality(inputs: tuple[InputLook, ...], monitor: Monitor) -> Finding:
    """Whether some input is absent too often; unknown without inputs.

    Values outside of the range of training are no incident by themselves: they are new, not wrong. Each `InputLook` has
    their share.
    """
    if not inputs:
        return Finding(
            kind=IncidentKind.QUALITY,
            verdict=Verdict.UNKNOWN,
            subject="inputs",
            value=None,
            threshold=monitor.missing,
            summary=f"fewer than {monitor.min_rows} predictions from the live version's inputs in the window",
        )
    ranked = sorted(inputs, key=_excess, reverse=True)
    worst = ranked[0]
    wrong = [look for look in ranked if _excess(look) > monitor.missing]
    return Finding(
        kind=IncidentKind.QUALITY,
        verdict=Verdict.UNHEALTHY if wrong else Verdict.HEALTHY,
        subject=worst.name if wrong else "inputs",
        value=max(_excess(worst), 0.0),
        threshold=monitor.missing,
        summary=f"the worst input is {_absence(worst)}",
        cause=_cause(wrong),
    )


def _excess(look: InputLook) -> float:
    return look.absent - max(look.trained_absent, look.usual_absent)


def _cause(wrong: list[InputLook]) -> str:
    named = "; ".join(_absence(look) for look in wrong[:_MOST_NAMED])
    more = len(wrong) - _MOST_NAMED
    return f"{named}; and {more} more" if more > 0 else named


def _absence(look: InputLook) -> str:
    """``temp, absent in 45 % (in training 12 %): 40 % stale, 5 % missing``."""
    parts = ((look.stale, "stale"), (look.missing, "missing"), (look.default, "default"))
    how = ", ".join(f"{percent(share)} {word}" for share, word in parts if share > 0)
    trained = f"in training {percent(look.trained_absent)}"
    if look.usual_absent > look.trained_absent:
        trained += f", at times {percent(look.usual_absent)}"
    text = f"{look.name}, absent in {percent(look.absent)} ({trained})"
    return f"{text}: {how}" if how else text
