"""Signed documents under rising numbers: how what the records say reaches predictors, whatever it is about.

The records are the truth and a document follows from them, so publishing is idempotent: whoever finds the published one
behind publishes the current one, be it after a change, a crash or a restored backup.
"""

from typing import Protocol

import msgspec

from octavo.operations import Context
from octavo.registry.signing import Signer
from octavo.release.manifests import SignedManifest
from octavo.stores.ports import Artifacts


class Numbered(Protocol):
    """A document of a project."""

    @property
    def project(self) -> str:
        """Whose it is."""

    @property
    def sequence(self) -> int:
        """Rises with every document about the same; a predictor never goes back to a lower one."""


class _Number(msgspec.Struct, frozen=True):
    sequence: int


def publish(context: Context, manifest: Numbered, *, name: str, purpose: str) -> None:
    """Sign a document with the project's key, and publish it."""
    signer = Signer(context.config.home / "keys" / "release.key")
    context.stores.artifacts.publish(name, signed(manifest, signer, purpose=purpose))


def signed(manifest: Numbered, signer: Signer, *, purpose: str) -> bytes:
    """A document in canonical bytes, signed for one purpose."""
    payload = msgspec.json.encode(manifest, order="deterministic")
    return msgspec.json.encode(SignedManifest(payload=payload, signature=signer.sign(purpose, payload)))


def published_number(artifacts: Artifacts, name: str) -> int:
    """The number of the document that is published under a name; 0 if none is."""
    document = artifacts.published(name)
    if document is None:
        return 0
    return msgspec.json.decode(msgspec.json.decode(document, type=SignedManifest).payload, type=_Number).sequence
