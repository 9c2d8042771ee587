"""models waive, unwaive: gates that a version did not pass, and may be released all the same."""

from typing import Annotated

import typer

from octavo.cli.options import Json, Model
from octavo.cli.output import emit_json, say
from octavo.cli.session import ask
from octavo.cli.trained import show_gates
from octavo.registry.versions import ModelVersion
from octavo.registry.waivers import WaiveGate, WithdrawWaiver

Version = Annotated[int, typer.Argument(metavar="VERSION", help="The version's number.")]
Gate = Annotated[str, typer.Argument(metavar="GATE", help="The gate's name, or its beginning.")]


def waive(
    model: Model,
    version: Version,
    gate: Gate,
    reason: Annotated[str, typer.Option(help="Why it may be released all the same; kept in the record.")],
    for_: Annotated[str, typer.Option("--for", help="How long the waiver holds: 7d; at most 90d.")] = "7d",
    json: Json = False,
) -> None:
    """Waive a gate that a version did not pass, for a while and for a reason.

    The verdict stays as it is, and the waiver stands beside it with your name. Approvals that a release needs are
    needed still.

    \b
    Example:
      octavo models waive arrival_delay 3 fair --reason "a season of strikes"

    \b
    Next:
      octavo deployments release eta --version 3
      octavo models unwaive arrival_delay 3 fair
    """
    waived: ModelVersion = ask(WaiveGate(model=model, version=version, gate=gate, reason=reason, length=for_))
    if json:
        emit_json(waived)
        return
    show_gates(waived.gates)


def unwaive(model: Model, version: Version, gate: Gate, json: Json = False) -> None:
    """Have a waiver hold no more; what was released by it stays released.

    \b
    Example:
      octavo models unwaive arrival_delay 3 fair

    \b
    Next:
      octavo models version arrival_delay 3
    """
    withdrawn: ModelVersion = ask(WithdrawWaiver(model=model, version=version, gate=gate))
    if json:
        emit_json(withdrawn)
        return
    say(f"The waiver holds no more; {model} {version} is held back by the gate again.")
