"""Model versions: what stands in the registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from octavo.registry.signing import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A person's word that a version may be released although a gate did not let it through.

    Attributes
    ----------
    by : str
        Who gave it.
    until : datetime
        From then on it holds no more; what was released before stays.
    """

    by: str
    at: datetime
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """How one gate judged a version, and on what evidence.

    Attributes
    ----------
    passed : bool
        By itself, whatever waiver there is.
    evidence : str
        Why, for people.
    numbers : mapping of str to float
        What it rests on; all finite.
    judged : bool
        Whether it could be judged at all. What was not judged passes only if the project says that it need not be.
    waiver : Waiver or None
        The newest that was given.
    """

    gate: str
    passed: bool
    evidence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    judged: bool = True
    waiver: Waiver | None = None

    def waived(self, at: datetime) -> bool:
        """Whether it did not pass, and a waiver holds at a moment."""
        return not self.passed and self.waiver is not None and at < self.waiver.until

    def lets_through(self, at: datetime) -> bool:
        """Whether a version may be released at a moment as far as this gate goes."""
        return self.passed or self.waived(at)


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
    schema : str
        Digest of the plan in its bundle; empty for versions of before this was kept.
    oms : str
        Digest of its OpenSSF model signature among the artifacts; empty if it has none.
    author : str
        Who had it made.
    comparison : str
        Digest of its comparison with the version that was live (`octavo.registry.comparisons.Comparison`) among the
        artifacts; empty if none was.
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
    schema: str = ""
    oms: str = ""
    author: str = ""
    comparison: str = ""

    @property
    def key(self) -> str:
        return f"{self.model}/{self.version}"

    @property
    def passed(self) -> bool:
        """Whether every gate let it through by itself, without a waiver."""
        return all(result.passed for result in self.gates)

    def held_by(self, at: datetime) -> tuple[GateResult, ...]:
        """The gates that forbid its release at a moment: not passed, and no waiver of theirs holds."""
        return tuple(result for result in self.gates if not result.lets_through(at))
