"""predict, predictions: asking the running predictor, and what is kept of its answers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from octavo.cli.measures import duration, number
from octavo.cli.options import Deployment, Json, Limit
from octavo.cli.output import emit_json, plain, say, show_facts, show_table
from octavo.cli.rows import Row, read_rows
from octavo.cli.session import ask, progress_bar
from octavo.client import Client
from octavo.monitoring.explanations import Explanation
from octavo.monitoring.operations import ExplainPrediction, ListPredictions, ShowPrediction
from octavo.monitoring.predictions import PredictionDetails, PredictionSummary

ROWS_AT_ONCE = 1_000
Answer = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(predict)
    commands = typer.Typer(no_args_is_help=True)
    commands.callback()(predictions)
    commands.command("list")(list_predictions)
    commands.command()(show)
    commands.command()(explain)
    app.add_typer(commands, name="predictions")


def predict(
    deployment: Deployment,
    rows: Annotated[
        str | None,
        typer.Argument(metavar="ROWS", help="Rows as JSON, a file of them, or - for the input stream (the default)."),
    ] = None,
    values: Annotated[bool, typer.Option("--values", help="Answer the value of each feature too.")] = False,
    json: Json = False,
) -> None:
    """Ask the running predictor, for one row or many.

    A row holds the request fields and entity keys that the model takes; the features are looked up. Each prediction
    has an id, under which it is kept with all that it was made from. Asking again predicts again, under another id.

    \b
    Examples:
      octavo predict eta flights.jsonl
      octavo predict eta '{"origin": "JFK", "carrier": "B6", ...}' --json
      cat flights.jsonl | octavo predict eta

    \b
    Next:
      octavo predictions show ID
      octavo outcomes --prediction ID --value 12
    """
    answers = list(_answers(deployment, read_rows(rows), values=values))
    predictions = [prediction for answer in answers for prediction in answer["predictions"]]
    if json:
        emit_json({**answers[0], "predictions": predictions})
        return
    if "composite" in answers[0]:
        _show_together(predictions)
        return
    show_table(
        ["prediction", ">value", ">version", "features"],
        ([p["id"], number(p["value"]), p["version"], _statuses(p.get("features", {}))] for p in predictions),
        empty="Nothing was predicted.",
    )


def _show_together(predictions: Sequence[Mapping[str, Any]]) -> None:
    """What a composite answered, and its nodes."""
    names = tuple(predictions[0]["nodes"])
    show_table(
        ["prediction", ">value", *(f">{name}" for name in names)],
        ([p["id"], number(p["value"]), *(_of_node(p["nodes"][name]) for name in names)] for p in predictions),
        empty="Nothing was predicted.",
    )


def _of_node(node: Mapping[str, Any]) -> str:
    return "" if node["value"] is None else number(node["value"])


def _answers(deployment: str, rows: list[Row], *, values: bool) -> Iterator[Answer]:
    with Client.here() as client, progress_bar() as report:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            yield client.predict(deployment, part, values=values)
            report((start + len(part)) / len(rows), f"{start + len(part):,} rows")


def _statuses(features: Mapping[str, str]) -> str:
    """Which features were not present, or how many."""
    if not features:
        return "all present"
    if len(features) <= 2:
        return ", ".join(f"{name} {word}" for name, word in features.items())
    return ", ".join(f"{count} {word}" for word, count in Counter(features.values()).most_common())


def predictions() -> None:
    """Show what was predicted, from what, and what came of it.

    A prediction is found here once the worker (octavo up) has taken it over from the predictor, a moment later.

    \b
    Examples:
      octavo predictions list eta
      octavo predictions show ID

    \b
    Next:
      octavo outcomes --prediction ID --value 12
    """


def list_predictions(
    deployment: Deployment,
    entity: Annotated[str | None, typer.Option(help="Only about this one: origin=JFK.")] = None,
    before: Annotated[str | None, typer.Option(help="Only those before the prediction with this id.")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List predictions, the newest first, with their outcomes as far as they are known.

    \b
    Examples:
      octavo predictions list eta
      octavo predictions list eta --entity tailnum=N593JB

    \b
    Next:
      octavo predictions show ID
    """
    found: tuple[PredictionSummary, ...] = ask(
        ListPredictions(deployment=deployment, entity=entity, before=before, limit=limit)
    )
    if json:
        emit_json(found)
        return
    show_table(
        ["prediction", "at", ">predicted", ">outcome", "?about", "?>version", "?arm"],
        ([p.id, p.at, p.output, p.label, _pairs(p.entities), p.version, p.arm] for p in found),
        empty=f"No prediction yet. Make one: octavo predict {deployment} ROWS",
    )


def show(
    prediction: Annotated[str, typer.Argument(metavar="ID", help="The prediction's id.")], json: Json = False
) -> None:
    """Show a prediction: who asked, what it was made from, what was answered, and what came of it.

    \b
    Example:
      octavo predictions show 0198a3f2-7c11-7d3a-9c55-1f0e2b7a6d40

    \b
    Next:
      octavo models version MODEL VERSION
    """
    found: PredictionDetails = ask(ShowPrediction(prediction=prediction))
    if json:
        emit_json(found)
        return
    summary = found.summary
    show_facts(
        [
            ("prediction", summary.id),
            ("at", summary.at),
            ("made by", _maker(found)),
            *([("group", found.group)] if found.group else []),
            *([("propensity", found.propensity)] if found.propensity not in (None, 1.0) else []),
            *([("node of", found.parent)] if found.parent else []),
            ("bundle", found.digest),
            ("asked by", found.caller),
            ("took", f"{summary.latency_us / 1000:.2f} ms"),
            ("about", _pairs(summary.entities)),
            ("request", _pairs(found.request)),
            ("predicted", summary.output),
            ("outcome", summary.label),
            *(("known since", outcome.known_at) for outcome in found.outcomes[-1:]),
            *((f"version {shadow.version} in shadow", shadow.output) for shadow in found.shadows),
        ]
    )
    say("")
    if not summary.model:
        _show_nodes(found)
        return
    show_table(
        ["input", ">value", "status", ">age"],
        ([i.name, i.value, i.status, "" if i.age_s is None else duration(i.age_s)] for i in found.inputs),
        empty=plain(found.inputs_problem or "It has no inputs."),
    )


def _show_nodes(found: PredictionDetails) -> None:
    """What the nodes of a composite said; a function's answer has no prediction of its own."""
    said = {node.deployment: (node.summary.id, node.summary.version) for node in found.nodes}
    show_table(
        ["node", ">value", "prediction", ">version"],
        ([node.name, node.value, *said.get(node.name, ("", ""))] for node in found.inputs),
        empty=plain(found.inputs_problem or "It has no nodes."),
    )


def _maker(found: PredictionDetails) -> str:
    one = found.summary
    if not one.model:
        return f"composite {found.deployment}, version {one.version}"
    return f"{one.model} {one.version} ({one.arm}) for {found.deployment}"


def explain(
    prediction: Annotated[str, typer.Argument(metavar="ID", help="The prediction's id.")],
    most: Annotated[int, typer.Option("--most", min=1, help="How many reasons, the largest first.")] = 10,
    json: Json = False,
) -> None:
    """Say what each input contributed to a prediction.

    Contributions are Shapley values, in the unit of the answer: with the base, what the version answers on average, all
    of them add up to it, or to what the model said where a function comes after it. They are computed again from what
    was recorded, and are those that ?explain=true told.

    
    Example:
      octavo predictions explain 0198a3f2-7c11-7d3a-9c55-1f0e2b7a6d40

    
    Next:
      octavo predictions show ID
    """
    found: Explanation = ask(ExplainPrediction(prediction=prediction))
    if json:
        emit_json(found)
        return
    before = [] if found.before is None else [("said by the model", found.before)]
    facts = [("made by", f"{found.model} {found.version}"), ("base", found.base), *before, ("predicted", found.output)]
    show_facts(facts)
    say("")
    show_table(
        ["input", ">value", ">contribution"],
        ([one.input, one.value, one.contribution] for one in found.reasons[:most]),
        empty="It has no inputs.",
    )


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
