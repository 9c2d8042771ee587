"""What is signed about a version that a deployment answers with: one statement for each arm of its manifest.

Light: a predictor imports it, and takes up no version without a statement that fits all that it is about.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from octavo.errors import IntegrityError
from octavo.registry.bundles import PLAN, BundleManifest
from octavo.registry.signing import Signer, Verifier
from octavo.release.manifests import Arm, DeploymentManifest, SignedDocument

PURPOSE = "octavo/release-statement/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseStatement:
    """What must not be exchanged about a version in a deployment.

    Attributes
    ----------
    digest : str
        Of the bundle, and so of each of its files.
    schema : str
        Digest of the bundle's plan: the fields that requests have and the inputs that the model takes.
    stage : str
        The arm's role.
    approvers : tuple of str
        Who approved the release.
    unsafe_by : tuple of str
        Who approved that code of the model runs; empty for a model that is data.
    policy : str
        Digest of the approval policy that was in force.
    counter : int
        That of the manifest, so that no statement outlives it.
    expires_at_us : int or None
        Until when a predictor may take the version up; what it has taken up goes on.
    """

    project: str
    deployment: str
    model: str
    version: int
    digest: str
    schema: str
    stage: str
    approvers: tuple[str, ...] = ()
    unsafe_by: tuple[str, ...] = ()
    policy: str = ""
    counter: int
    issued_at_us: int
    expires_at_us: int | None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"the release statement of {self.model} {self.version} in {self.deployment!r}"

    def check_bundle(self, manifest: BundleManifest, *, digest: str) -> None:
        """Check that it is about a bundle.

        Raises
        ------
        IntegrityError
            If it is about another one.
        """
        schema = manifest.files[PLAN].digest
        for what, said, is_so in (
            ("bundle", self.digest, digest),
            ("project", self.project, manifest.project),
            ("model", self.model, manifest.model),
            ("schema", self.schema, schema),
        ):
            if said != is_so:
                raise IntegrityError(f"{self.name} is about {what} {said!r}, but its bundle holds {is_so!r}")


def encode_statement(statement: ReleaseStatement) -> bytes:
    """Canonical bytes, to be signed."""
    return msgspec.json.encode(statement, order="deterministic")


def with_statement(arm: Arm, statement: ReleaseStatement, signer: Signer) -> Arm:
    """The arm with its signed statement."""
    payload = encode_statement(statement)
    return replace(arm, statement=SignedDocument(payload=payload, signature=signer.sign(PURPOSE, payload)))


def check_statements(
    manifest: DeploymentManifest, verifier: Verifier, *, now_us: int | None
) -> dict[tuple[str, str], ReleaseStatement]:
    """The statements of a manifest's arms, each verified and about its own arm, by role and digest.

    Parameters
    ----------
    now_us : int or None
        None for a manifest that has been served by before, whose statements may have expired since.

    Raises
    ------
    IntegrityError
        If one is absent, of another key, about something else, or expired.
    """
    found = {}
    for arm in manifest.arms:
        statement = _verified(arm, manifest, verifier)
        if now_us is not None and statement.expires_at_us is not None and now_us >= statement.expires_at_us:
            raise IntegrityError(
                f"{statement.name} expired at {_said(statement.expires_at_us)}; the worker (octavo up) renews it"
            )
        found[arm.role, arm.digest] = statement
    return found


def first_expiry(arms: Iterable[Arm]) -> int | None:
    """When the first statement of some arms expires, in microseconds; None if none does, 0 if one has no statement."""
    found: list[int] = []
    for arm in arms:
        if arm.statement is None:
            return 0
        expires = msgspec.json.decode(arm.statement.payload, type=ReleaseStatement).expires_at_us
        if expires is not None:
            found.append(expires)
    return min(found, default=None)


def _verified(arm: Arm, manifest: DeploymentManifest, verifier: Verifier) -> ReleaseStatement:
    if arm.statement is None:
        raise IntegrityError(
            f"{arm.model} {arm.version} in {manifest.deployment!r} comes without a release statement; the worker "
            "(octavo up) of this version of Octavo publishes one"
        )
    verifier.verify(PURPOSE, arm.statement.payload, arm.statement.signature)
    try:
        statement = msgspec.json.decode(arm.statement.payload, type=ReleaseStatement)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"a release statement of {manifest.deployment!r} cannot be read: {error}") from error
    for what, said, is_so in (
        ("project", statement.project, manifest.project),
        ("deployment", statement.deployment, manifest.deployment),
        ("model", statement.model, arm.model),
        ("version", statement.version, arm.version),
        ("bundle", statement.digest, arm.digest),
        ("stage", statement.stage, arm.role),
        ("counter", statement.counter, manifest.sequence),
    ):
        if said != is_so:
            raise IntegrityError(f"{statement.name} is about {what} {said!r}, but the manifest's arm is {is_so!r}")
    return statement


def _said(moment_us: int) -> str:
    return f"{datetime.fromtimestamp(moment_us / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
