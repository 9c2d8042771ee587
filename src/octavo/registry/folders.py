"""A version that was handed on as a folder: whether it is whole, and who vouches for it. Needs no project."""

from dataclasses import dataclass
from pathlib import Path

from octavo.registry.bundles import MANIFEST, Bundle, digest_of, open_bundle
from octavo.registry.model_signatures import Trust, verify_model
from octavo.registry.signed_versions import files_of
from octavo.registry.tree import Tree

_LARGEST_MANIFEST = 16_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedFolder:
    """What was found.

    Attributes
    ----------
    digest : str
        Of the bundle, by which the registry that it came from knows it.
    name : str
        What it was signed as; empty without a signature.
    signer : str
        Who vouches for it; empty if nobody was asked.
    """

    digest: str
    project: str
    model: str
    files: int
    name: str = ""
    signer: str = ""


def verify_folder(path: Path, *, signature: bytes | None, trust: Trust | None) -> VerifiedFolder:
    """Verify a folder, and the signature over it if there is one.

    Parameters
    ----------
    signature : bytes or None
        None to look only whether the files are what their own list says.
    trust : Trust or None
        Whom to believe about the signature.

    Raises
    ------
    IntegrityError
        If a file was added, removed, changed or renamed, or the signature is of somebody or something else.
    """
    bundle = _opened(path)
    manifest = bundle.manifest
    found = VerifiedFolder(
        digest=bundle.digest, project=manifest.project, model=manifest.model, files=len(manifest.files) + 1
    )
    if signature is None or trust is None:
        return found
    signed = verify_model(signature, trust)
    signed.check(path.name, files_of(manifest, digest=bundle.digest))
    return VerifiedFolder(
        digest=found.digest,
        project=found.project,
        model=found.model,
        files=found.files,
        name=signed.name,
        signer=signed.signer,
    )


def _opened(path: Path) -> Bundle:
    with Tree(path) as tree:
        digest = digest_of(tree.read(MANIFEST, most_bytes=_LARGEST_MANIFEST))
    return open_bundle(path, digest=digest)
