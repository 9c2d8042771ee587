"""A project's folder as a predictor finds it: keys, a token, published manifests and bundles."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from tests.serving.bundles import MODEL, PROJECT, SCHEMAS

from octavo.access import ensure_admin, local_token
from octavo.config import Config, load_config
from octavo.errors import OctavoError
from octavo.registry.bundles import PLAN, decode_manifest
from octavo.registry.signing import Signer
from octavo.release.manifests import Arm, DeploymentManifest, SignedManifest, document_name, encode
from octavo.release.statements import ReleaseStatement, with_statement
from octavo.serving.watcher import PURPOSE
from octavo.stores.objects import ObjectArtifacts
from octavo.stores.ports import Artifacts

DEPLOYMENT = "eta"
SETTINGS = f"""
[project]
name = "{PROJECT}"

[predictor]
port = 0
grpc_port = 0
max_rows = 1000
max_body_bytes = 200000
"""


@dataclass(frozen=True, kw_only=True)
class ServingProject:
    """A project with what serving needs of it."""

    config: Config
    token: str
    artifacts: Artifacts

    @property
    def signer(self) -> Signer:
        return Signer(self.config.home / "keys" / "release.key")

    def document(self, manifest: DeploymentManifest) -> bytes:
        payload = encode(self.stated(manifest))
        return msgspec.json.encode(SignedManifest(payload=payload, signature=self.signer.sign(PURPOSE, payload)))

    def stated(self, manifest: DeploymentManifest) -> DeploymentManifest:
        """The manifest with a statement about each arm that has none."""
        arms = (one if one.statement else self.stated_arm(one, manifest) for one in manifest.arms)
        return replace(manifest, arms=tuple(arms))

    def stated_arm(self, arm: Arm, manifest: DeploymentManifest, **changes: Any) -> Arm:
        """An arm with the statement that a release makes of it, or another one."""
        said: dict[str, Any] = {
            "project": manifest.project,
            "deployment": manifest.deployment,
            "model": arm.model,
            "version": arm.version,
            "digest": arm.digest,
            "schema": schema_of(self.artifacts, arm.digest),
            "stage": arm.role,
            "counter": manifest.sequence,
            "issued_at_us": 0,
        }
        return with_statement(arm, ReleaseStatement(**(said | changes)), self.signer)

    def publish(self, manifest: DeploymentManifest) -> None:
        self.artifacts.publish(document_name(manifest.deployment), self.document(manifest))


def schema_of(artifacts: Artifacts, digest: str) -> str:
    """The digest of the plan in a bundle; nothing of one that is not there or is damaged."""
    if digest in SCHEMAS:
        return SCHEMAS[digest]
    try:
        return decode_manifest(artifacts.get(digest), digest=digest).files[PLAN].digest
    except OctavoError:
        return ""


def make_project(root: Path, *, settings: str = SETTINGS, artifacts: Artifacts | None = None) -> ServingProject:
    """A project's folder with a token; its artifacts are those of its settings unless given."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "octavo.toml").write_text(settings, encoding="utf-8")
    config = load_config(root, {})
    ensure_admin(config.home)
    return ServingProject(
        config=config,
        token=local_token(config.home),
        artifacts=artifacts or ObjectArtifacts(config.path(config.stores.artifacts)),
    )


def arm(digest: str, *, role: str = "live", version: int = 1, percent: float = 100, **more: Any) -> Arm:
    return Arm(role=role, model=MODEL, version=version, digest=digest, percent=percent, **more)


def manifest(*arms: Arm, sequence: int = 1, unit: str | None = None, **changes: object) -> DeploymentManifest:
    fields: Mapping[str, object] = {"project": PROJECT, "deployment": DEPLOYMENT, "published_at_us": 0, **changes}
    return DeploymentManifest(sequence=sequence, unit=unit, arms=arms, **fields)  # type: ignore[arg-type]  # of tests
