"""What commands say of a version that was just made."""

from octavo.cli.measures import duration, number
from octavo.cli.output import plain, say, show_table
from octavo.loop.operations import TrainedVersion
from octavo.registry.versions import GateResult


def show_trained(trained: TrainedVersion, *, done: str) -> None:
    """Print a new version, how its gates judged it, and what comes next.

    Parameters
    ----------
    done : str
        What was done: ``trained on 600 rows``.
    """
    version, run = trained.version, trained.run
    metrics = ", ".join(f"{name} {number(value)}" for name, value in version.metrics.items())
    say(f"[bold]{version.model} {version.version}[/] was {done} in {duration(run.seconds)}; held out: {metrics}.")
    show_gates(version.gates)
    for warning in trained.warnings:
        say(f"[yellow]Warning:[/] {plain(warning)}")
    say(f"Next: {_next(trained)}")


def show_gates(gates: tuple[GateResult, ...]) -> None:
    """Print how each gate judged a version."""
    show_table(
        ["gate", "passed", "evidence"],
        ([g.gate, _passed(g), g.evidence] for g in gates),
        empty="The model declares no gates.",
    )


def _passed(gate: GateResult) -> object:
    """Whether it passed, or the waiver that was given instead."""
    waiver = gate.waiver
    if gate.passed or waiver is None:
        return gate.passed
    return f"no; waived by {waiver.by} until {waiver.until:%Y-%m-%d %H:%M}: {waiver.reason}"


def _next(trained: TrainedVersion) -> str:
    version = trained.version
    if trained.release is not None:
        return "octavo deployments (the worker, octavo up, takes the release through its steps)"
    return f"octavo models version {version.model} {version.version}"
