"""Quality: inputs that arrive without a value far more often than in training, or are not what is expected of them."""

from octavo.definitions.deployments import Monitor
from octavo.features.expectations import Breach
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import IncidentKind
from octavo.monitoring.inputs import InputLook
from octavo.monitoring.wording import percent

_MOST_NAMED = 3


def judge_quality(inputs: tuple[InputLook, ...], monitor: Monitor, *, breaches: tuple[Breach, ...] = ()) -> Finding:
    """Whether some input is absent too often or not what is declared of it; unknown without inputs.

    Values outside of the range of training are no incident by themselves: they are new, not wrong. Each `InputLook` has
    their share. Values outside of what the project expects are wrong, and come before what is only unusual.

    Parameters
    ----------
    breaches : tuple of Breach
        Expectations of the project that the window does not meet.
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
    if breaches:
        return _unexpected(breaches)
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


def _unexpected(breaches: tuple[Breach, ...]) -> Finding:
    ranked = sorted(breaches, key=lambda breach: breach.allowed - breach.share)
    worst = ranked[0]
    return Finding(
        kind=IncidentKind.QUALITY,
        verdict=Verdict.UNHEALTHY,
        subject=worst.input,
        value=worst.share,
        threshold=worst.allowed,
        summary=f"not as expected: {worst}",
        cause=_named([str(breach) for breach in ranked]),
    )


def _excess(look: InputLook) -> float:
    return look.absent - max(look.trained_absent, look.usual_absent)


def _cause(wrong: list[InputLook]) -> str:
    return _named([_absence(look) for look in wrong])


def _named(texts: list[str]) -> str:
    named = "; ".join(texts[:_MOST_NAMED])
    more = len(texts) - _MOST_NAMED
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
