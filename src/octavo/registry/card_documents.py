"""The model card as a document: what `octavo.registry.cards` tells people, for programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from octavo.definitions.models import Model, RiskTier, Task
from octavo.definitions.warnings import deprecations
from octavo.errors import IntegrityError
from octavo.registry.provenance import Provenance
from octavo.training.reports import DataWindow, Partition, Report
from octavo.training.reports import Interval as Interval  # as part of what a card is made of


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a version is, what it is for, how well it does and where it ends.

    Attributes
    ----------
    owner, purpose : str
        Empty if they were not declared when it was made.
    limits : tuple of str
        What it must not be used for, and where it is known to be wrong.
    target : str
        What it predicts.
    answer : str
        The function that makes the answer of the model's output; empty if that is the answer.
    inputs : mapping of input to float
        The importance of each; they sum to 1.
    learned_from : DataWindow or None
        None for a model that was fitted elsewhere.
    judged_on : DataWindow
    dataset, code, run : str
        By which it can be made again: digests, and the run's id.
    baselines : mapping of baseline to (mapping of metric to Interval)
    caveats : tuple of str
        What is not as it should be: unmet expectations, deprecated inputs, rows that it refuses.
    format : str
        How the model is kept.
    tier : str
        How far that is trusted: ``data``, ``listed`` or ``code``.
    partition : Partition or None
        Which parts of it answer in place of the model for all, and how well.
    """

    project: str
    model: str
    task: Task
    description: str
    owner: str
    purpose: str
    risk: RiskTier | None
    limits: tuple[str, ...]
    target: str
    inputs: Mapping[str, float]
    learned_from: DataWindow | None
    judged_on: DataWindow
    as_of: datetime
    dataset: str
    code: str
    commit: str | None
    run: str
    metrics: Mapping[str, Interval]
    baselines: Mapping[str, Mapping[str, Interval]]
    format: str
    tier: str
    caveats: tuple[str, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    partition: Partition | None = None
    answer: str = ""


def card_of(
    model: Model, report: Report, provenance: Provenance, *, project: str, kept_as: str, tier: str
) -> ModelCard:
    """The card of what was trained now."""
    label = model.label
    column = f"{label.column} of {label.source.name}"
    return ModelCard(
        project=project,
        model=model.name,
        task=model.task,
        description=model.description,
        owner=model.owner,
        purpose=model.purpose,
        risk=model.tier,
        limits=model.limits,
        target=column if label.above is None else f"the probability that {column} is above {label.above:g}",
        inputs={name: report.importance.get(name, 0.0) for name in model.input_names},
        learned_from=report.training if provenance.origin is None else None,
        judged_on=report.holdout,
        as_of=provenance.as_of,
        dataset=provenance.dataset,
        code=provenance.code,
        commit=provenance.commit,
        run=provenance.run,
        metrics=report.metrics,
        baselines=report.baselines,
        format=kept_as,
        tier=tier,
        caveats=(
            *(f"Its training rows are not what the project expects: {breach}" for breach in report.breaches),
            *(f"When it was trained, {warning}" for warning in deprecations(model)),
            *(f"The trained estimator refuses rows of this kind: {kind}" for kind in provenance.refused),
        ),
        libraries=provenance.libraries,
        partition=report.partition,
        answer="" if model.answer is None else str(model.answer),
    )


def encode_card(card: ModelCard) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(card, order="deterministic")


def decode_card(data: bytes) -> ModelCard:
    """The card that `encode_card` wrote.

    Raises
    ------
    IntegrityError
        If the bytes are none.
    """
    try:
        return msgspec.json.decode(data, type=ModelCard)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"these bytes are no model card: {error}; train the model again") from error
