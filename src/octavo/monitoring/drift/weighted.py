"""The drift of all inputs as one number, and what it says.

Each input counts by its importance to the model: what the model does not go by may move as it likes.
"""

from octavo.definitions.deployments import Monitor
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import IncidentKind
from octavo.monitoring.inputs import InputLook
from octavo.monitoring.wording import movements, number

SUBJECT = "inputs"


def weighted_drift(inputs: tuple[InputLook, ...]) -> float | None:
    """The mean of the inputs' drift, weighted by importance; None without inputs."""
    return sum(look.contribution for look in inputs) if inputs else None


def judge_drift(inputs: tuple[InputLook, ...], monitor: Monitor) -> Finding:
    """Whether the inputs have drifted; unknown without inputs.

    Parameters
    ----------
    inputs : tuple of InputLook
        The one that contributes most first; empty if there were too few predictions to judge by.
    """
    drift = weighted_drift(inputs)
    if drift is None:
        return Finding(
            kind=IncidentKind.DRIFT,
            verdict=Verdict.UNKNOWN,
            subject=SUBJECT,
            value=None,
            threshold=monitor.drift,
            summary=f"fewer than {monitor.min_rows} predictions from the live version's inputs in the window",
        )
    unhealthy = drift > monitor.drift
    moved = tuple(look for look in inputs if look.contribution > 0)
    return Finding(
        kind=IncidentKind.DRIFT,
        verdict=Verdict.UNHEALTHY if unhealthy else Verdict.HEALTHY,
        subject=SUBJECT,
        value=drift,
        threshold=monitor.drift,
        summary=f"drift of the inputs {number(drift)} (an incident above {number(monitor.drift)})",
        cause=movements(moved) if unhealthy else "",
    )
