"""Which versions answer for a deployment: the immutable document that predictors verify and apply."""

from dataclasses import dataclass

import msgspec

from octavo.definitions.fallbacks import OnStop, OnUnread
from octavo.registry.signing import Signature

FOLDER = "deployments/"
PURPOSE = "octavo/deployment-manifest/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDocument:
    """A document's exact bytes and the signature over them."""

    payload: bytes
    signature: Signature


SignedManifest = SignedDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A version and its part of the traffic.

    Attributes
    ----------
    role : str
        ``live``, ``canary``, ``shadow``, ``experiment``, ``holdout`` or ``explore``.
    percent : float
        With at most two decimals, of what is divided at its step (see `octavo.release.shares`); 0 for a shadow.
    digest : str
        The bundle.
    group : str
        What its predictions are marked with: ``cheaper-eta/control``, ``holdout``, ``explore``, or nothing.
    sample : float
        For a shadow: the percentage of predictions that it sees.
    statement : SignedDocument or None
        What is signed about it: an `octavo.release.statements.ReleaseStatement`. A predictor takes up no arm without.
    """

    role: str
    model: str
    version: int
    digest: str
    percent: float
    group: str = ""
    sample: float = 100.0
    statement: SignedDocument | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentManifest:
    """The traffic of one deployment.

    Attributes
    ----------
    sequence : int
        Rises with every manifest of the deployment; a predictor never goes back to a lower one.
    unit : str or None
        The request field by whose stable hash an arm is chosen; the prediction's id if None.
    on_unread : str or Fallback
        What is done with rows whose features cannot be read (see `Deployment`).
    stopped : str
        Why no model is asked, until a later manifest says otherwise; empty unless the deployment is stopped.
    on_stop : str or Fallback
        What is done with requests while it is stopped.
    """

    project: str
    deployment: str
    sequence: int
    unit: str | None
    arms: tuple[Arm, ...]
    published_at_us: int
    on_unread: OnUnread = "predict"
    stopped: str = ""
    on_stop: OnStop = "reject"


def document_name(deployment: str) -> str:
    """The name under which a deployment's manifest is published among the artifacts."""
    return f"{FOLDER}{deployment}.json"


def encode(manifest: DeploymentManifest) -> bytes:
    """Canonical bytes, to be signed."""
    return msgspec.json.encode(manifest, order="deterministic")
