"""Model versions: what stands in the registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from octavo.registry.signing import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """How one gate judged a version, and on what evidence."""

    gate: str
    passed: bool
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """An immutable version of a model.

    Attributes
    ----------
    version : int
        1, 2, 3, ... within the model.
    digest : str
        Of its bundle.
    signature : Signature
        Over the statement that binds project, model, version and digest.
    report : str
        Digest of the report (`octavo.training.reports.Report`) among the artifacts.
    trained_until : datetime
        All that it learned from was known before this moment.
    trigger : str
        What started the training: ``user``, or a trigger's name with its cause.
    """

    kind: ClassVar[str] = "model_version"

    model: str
    version: int
    digest: str
    signature: Signature
    run: str
    report: str
    created_at: datetime
    trained_until: datetime
    metrics: Mapping[str, float]
    gates: tuple[GateResult, ...] = ()
    trigger: str = "user"
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.model}/{self.version}"

    @property
    def passed(self) -> bool:
        """Whether every gate let it through."""
        return all(result.passed for result in self.gates)
