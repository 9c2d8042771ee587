"""The OpenSSF signature of a version: kept beside its bundle, which cannot hold what is over all of it."""

import logging
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from octavo.config import Config
from octavo.errors import IntegrityError, OctavoError
from octavo.operations import Context
from octavo.registry import keyless
from octavo.registry.bundles import MANIFEST, BundleManifest, decode_manifest, fetch_bundle
from octavo.registry.model_keys import signing_key, trust
from octavo.registry.model_signatures import SignedModel, sign_model, verify_model
from octavo.registry.versions import ModelVersion
from octavo.stores.ports import Artifacts

log = logging.getLogger(__name__)

KEYLESS = "sigstore"


def folder_name(version: ModelVersion) -> str:
    """What the folder of a version is called where it is handed on; the signature is of this name."""
    return f"{version.model}-{version.version}"


def files_of(manifest: BundleManifest, *, digest: str) -> dict[str, str]:
    """SHA-256 of each file of a bundle, the manifest too, 64 hex digits."""
    listed = {name: entry.digest.removeprefix("sha256:") for name, entry in manifest.files.items()}
    return {**listed, MANIFEST: digest.removeprefix("sha256:")}


def sign_version(context: Context, version: ModelVersion) -> ModelVersion:
    """Sign a version as ``[signing]`` says, and keep the signature.

    Raises
    ------
    ConfigurationError
        If there is no key, or the tool of keyless signatures is not there.
    Unavailable
        If whoever signs without keys cannot be reached.
    """
    artifacts = context.stores.artifacts
    signature = _signature(context.config, artifacts, version)
    signed = replace(version, oms=artifacts.put(signature))
    with context.transaction() as tx:
        newest = tx.get(ModelVersion, version.key) or version
        signed = replace(newest, oms=signed.oms)
        tx.put(signed)
    return signed


def sign_if_possible(context: Context, version: ModelVersion) -> ModelVersion:
    """As `sign_version`; a version that cannot be signed now stays without a signature, and can be signed later."""
    try:
        return sign_version(context, version)
    except OctavoError as error:
        log.error("a version was not signed: %s; sign it: octavo models sign", error.message)
        return version


def check_signature(config: Config, artifacts: Artifacts, version: ModelVersion) -> SignedModel:
    """Check that a version's signature is of whom is believed, and of exactly its files.

    Raises
    ------
    IntegrityError
        If it has none, or it is not.
    Unavailable, NotFound
        If the artifacts lack a part.
    """
    if not version.oms:
        raise IntegrityError(
            f"{version.model} {version.version} has no model signature; sign it: octavo models sign {version.model} "
            f"{version.version}"
        )
    signature, name = artifacts.get(version.oms), folder_name(version)
    if config.signing.method == KEYLESS:
        with TemporaryDirectory() as scratch:
            folder = _written(artifacts, version, into=Path(scratch))
            signer = keyless.verify(folder, signature, config.signing)
        manifest = decode_manifest(artifacts.get(version.digest), digest=version.digest)
        return SignedModel(name=name, files=files_of(manifest, digest=version.digest), signer=signer)
    signed = verify_model(signature, trust(config))
    manifest = decode_manifest(artifacts.get(version.digest), digest=version.digest)
    signed.check(name, files_of(manifest, digest=version.digest))
    return signed


def _signature(config: Config, artifacts: Artifacts, version: ModelVersion) -> bytes:
    if config.signing.method == KEYLESS:
        with TemporaryDirectory() as scratch:
            return keyless.sign(_written(artifacts, version, into=Path(scratch)))
    manifest = decode_manifest(artifacts.get(version.digest), digest=version.digest)
    return sign_model(folder_name(version), files_of(manifest, digest=version.digest), signing_key(config))


def _written(artifacts: Artifacts, version: ModelVersion, *, into: Path) -> Path:
    bundle = fetch_bundle(artifacts, version.digest, into=into)
    return bundle.path.rename(into / folder_name(version))
