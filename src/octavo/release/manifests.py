"""Which versions answer for a deployment: the immutable document that predictors verify and apply."""

from dataclasses import dataclass

import msgspec

from octavo.registry.signing import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A version and its part of the traffic.

    Attributes
    ----------
    role : str
        ``live``, ``canary`` or ``shadow``.
    percent : int
        Share of requests that it answers; a shadow arm sees all and answers none.
    digest : str
        The bundle.
    """

    role: str
    model: str
    version: int
    digest: str
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentManifest:
    """The traffic of one deployment.

    Attributes
    ----------
    sequence : int
        Rises with every manifest of the deployment; a predictor never goes back to a lower one.
    unit : str or None
        The request field by whose stable hash an arm is chosen; the prediction's id if None.
    """

    project: str
    deployment: str
    sequence: int
    unit: str | None
    arms: tuple[Arm, ...]
    published_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedManifest:
    """A manifest's exact bytes and the signature over them."""

    payload: bytes
    signature: Signature


def document_name(deployment: str) -> str:
    """The name under which a deployment's manifest is published among the artifacts."""
    return f"deployments/{deployment}.json"


def encode(manifest: DeploymentManifest) -> bytes:
    """Canonical bytes, to be signed."""
    return msgspec.json.encode(manifest, order="deterministic")
