"""outcomes: the truth about predictions."""

from typing import Annotated

import typer

from octavo.api.bodies import to_request
from octavo.cli.options import Json
from octavo.cli.output import emit_json, say
from octavo.cli.rows import Row, read_rows
from octavo.cli.session import open_session
from octavo.errors import InvalidRequest
from octavo.monitoring.operations import AcceptedOutcomes, RecordOutcomes

ROWS_AT_ONCE = 50_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(outcomes)


def outcomes(
    rows: Annotated[
        str | None,
        typer.Argument(
            metavar="ROWS", help="Outcomes as JSON, a file of them, or - for the input stream (the default)."
        ),
    ] = None,
    prediction: Annotated[str | None, typer.Option(help="The prediction's id, for a single outcome.")] = None,
    value: Annotated[float | None, typer.Option(help="What came, for a single outcome.")] = None,
    json: Json = False,
) -> None:
    """Send the truth about predictions.

    An outcome is a row with "prediction" (its id), "value" (as the label's column has it), and "known_at" unless it is
    known since now. It may be late, early, or come again with a correction: the one known last counts.

    \b
    Examples:
      octavo outcomes --prediction 0198a3f2-7c11-7d3a-9c55-1f0e2b7a6d40 --value -4
      octavo outcomes landed.jsonl
      octavo outcomes '[{"prediction": "0198...", "value": 12}, ...]'

    \b
    Next:
      octavo predictions show ID
      octavo monitor look DEPLOYMENT
    """
    accepted = _record(_given(rows, prediction, value))
    if json:
        emit_json(accepted)
        return
    say(f"Accepted {accepted.rows:,} outcome{'' if accepted.rows == 1 else 's'}.")


def _given(rows: str | None, prediction: str | None, value: float | None) -> list[Row]:
    if prediction is None and value is None:
        return read_rows(rows)
    if prediction is None or value is None or rows is not None:
        raise InvalidRequest(
            "a single outcome is a prediction's id and a value", fix="give both --prediction and --value, and no rows"
        )
    return [{"prediction": prediction, "value": value}]


def _record(rows: list[Row]) -> AcceptedOutcomes:
    accepted = 0
    with open_session() as session:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            request = to_request({"rows": rows[start : start + ROWS_AT_ONCE]}, RecordOutcomes)
            accepted += session.call(request).rows
    return AcceptedOutcomes(rows=accepted)
