"""What can be asked of a version's bundle, and said about it: card, materials, proof, signatures, a person's word."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from octavo.errors import Conflict, IntegrityError, InvalidRequest, NotAllowed, NotFound, OctavoError, Unavailable
from octavo.operations import Context, Operations
from octavo.principals import SERVICE, SYSTEM_KIND
from octavo.registry.bundles import (
    CARD,
    CARD_DOCUMENT,
    ENVIRONMENT,
    FORMS,
    MANIFEST,
    PROVENANCE,
    SCAN,
    BundleManifest,
    decode_manifest,
    verify,
)
from octavo.registry.card_documents import ModelCard, card_of, decode_card
from octavo.registry.formats.tiers import PICKLE_FILE, FormatTier, format_tier, tier_of
from octavo.registry.forms import decode_forms
from octavo.registry.materials import bill_of_materials
from octavo.registry.parts import PARTS, decode_parts
from octavo.registry.provenance import decode_provenance
from octavo.registry.readiness import unsaid
from octavo.registry.registration import verify_release_signature
from octavo.registry.scanning import Scan, decode_scan, scan
from octavo.registry.signed_versions import check_signature, folder_name, sign_version
from octavo.registry.unsafe import UnsafeApproval, unsafe_without_word
from octavo.registry.versions import ModelVersion
from octavo.stores.ports import Artifacts
from octavo.training.reports import decode_report

operations = Operations()

_LONGEST_NOTE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCard:
    model: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowMaterials:
    model: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyVersion:
    model: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignVersion:
    model: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchVersion:
    model: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveUnsafe:
    """That the code of a version's model may run.

    Attributes
    ----------
    note : str
        Why; it is kept.
    findings : bool
        Whether it may although scanning it found something, or was not done to its end.
    """

    model: str
    version: int
    note: str
    findings: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCard:
    """The card of a version.

    Attributes
    ----------
    text : str
        Markdown, as it was when the version was made.
    card : ModelCard
        Owner, purpose and risk are those declared now where none was when the version was made.
    lacking : str
        Why nothing of the model is released; empty if enough is declared.
    """

    model: str
    version: int
    digest: str
    text: str
    card: ModelCard
    lacking: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    what : str
    holds : bool
    said : str
        On what evidence, or why not.
    """

    what: str
    holds: bool
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What verifying a version has shown."""

    model: str
    version: int
    digest: str
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether all of it holds."""
        return all(check.holds for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedVersion:
    """A version to hand on.

    Attributes
    ----------
    folder : str
        What its folder is to be called; its signature is of this name.
    files : dict of name to bytes
    signature : bytes
        Of the OpenSSF's form; empty if it has none.
    """

    folder: str
    files: dict[str, bytes]
    signature: bytes


# All read artifacts, which may be far away: so they are long, and no transaction is open meanwhile.


@operations.operation("models.card", request=ShowCard, permission="models:read", long=True)
def show_card(request: ShowCard, context: Context) -> VersionCard:
    """Show the model card of a version."""
    version, manifest = _found(context, request.model, request.version)
    artifacts = context.stores.artifacts
    declared = context.project.models.get(version.model)
    return VersionCard(
        model=version.model,
        version=version.version,
        digest=version.digest,
        text=artifacts.get(manifest.files[CARD].digest).decode(),
        card=_card(context, manifest),
        lacking="" if declared is None else unsaid(declared),
    )


@operations.operation("models.materials", request=ShowMaterials, permission="models:read", long=True)
def show_materials(request: ShowMaterials, context: Context) -> str:
    """Show the bill of materials of a version: CycloneDX, JSON."""
    version, manifest = _found(context, request.model, request.version)
    environment = context.stores.artifacts.get(manifest.files[ENVIRONMENT].digest).decode()
    return bill_of_materials(
        _card(context, manifest),
        version=str(version.version),
        files=manifest.files,
        environment=environment,
        digest=version.digest,
    ).decode()


@operations.operation("models.verify", request=VerifyVersion, permission="models:read", long=True)
def verify_all(request: VerifyVersion, context: Context) -> Verified:
    """Verify a version: its bytes, its signatures, and whether it may be released."""
    version = _version(context, request.model, request.version)
    artifacts = context.stores.artifacts

    def files() -> str:
        manifest = decode_manifest(artifacts.get(version.digest), digest=version.digest)
        for name, entry in manifest.files.items():
            verify(artifacts.get(entry.digest), entry.digest, what=f"file {name!r}")
        return f"{len(manifest.files)} files are what {version.digest} says"

    def tier() -> str:
        manifest = decode_manifest(artifacts.get(version.digest), digest=version.digest)
        if reason := unsafe_without_word(context, version, manifest):
            raise IntegrityError(reason)
        forms = decode_forms(artifacts.get(manifest.files[FORMS].digest) if FORMS in manifest.files else None)
        parts = decode_parts(artifacts.get(manifest.files[PARTS].digest)).parts if PARTS in manifest.files else ()
        opened = tier_of(manifest, forms, *(part.forms for part in parts))
        scanned = _scan(artifacts, manifest)
        found = f"; scanned: {scanned.words}" if scanned is not None else ""
        return f"kept as {manifest.format}, opened as {opened}{found}"

    def declared() -> str:
        model = context.project.models.get(version.model)
        if model is not None and (reason := unsaid(model)):
            raise IntegrityError(reason)
        return "owner, purpose and risk tier are declared" if model else "the model is not declared any more"

    def signed() -> str:
        return f"by {check_signature(context.config, artifacts, version).signer}, over every file"

    checks = (
        _checked("files", files),
        _checked("release signature", lambda: verify_release_signature(context, version)),
        _checked("model signature", signed),
        _checked("format", tier),
        _checked("declared", declared),
    )
    return Verified(model=version.model, version=version.version, digest=version.digest, checks=checks)


@operations.operation("models.sign", request=SignVersion, permission="models:write", changes=True, long=True)
def sign(request: SignVersion, context: Context) -> ModelVersion:
    """Sign a version anew, in the OpenSSF's form."""
    return sign_version(context, _version(context, request.model, request.version))


@operations.operation("models.fetch", request=FetchVersion, permission="models:read", long=True)
def fetch(request: FetchVersion, context: Context) -> FetchedVersion:
    """Fetch all files of a version, with its signature."""
    version, manifest = _found(context, request.model, request.version)
    artifacts = context.stores.artifacts
    files = {name: artifacts.get(entry.digest) for name, entry in manifest.files.items()}
    return FetchedVersion(
        folder=folder_name(version),
        files={**files, MANIFEST: artifacts.get(version.digest)},
        signature=artifacts.get(version.oms) if version.oms else b"",
    )


@operations.operation(
    "models.approve_unsafe", request=ApproveUnsafe, permission="models:approve-unsafe", changes=True, long=True
)
def approve_unsafe(request: ApproveUnsafe, context: Context) -> UnsafeApproval:
    """Approve that the code of a version's model runs, apart from everything else."""
    version, manifest = _found(context, request.model, request.version)
    _check_word(request, context, version, manifest)
    word = UnsafeApproval(
        model=version.model,
        version=version.version,
        digest=version.digest,
        by=context.principal.subject,
        at=context.clock.now(),
        note=request.note,
    )
    with context.transaction() as tx:
        tx.put(word)
    return word


def _check_word(request: ApproveUnsafe, context: Context, version: ModelVersion, manifest: BundleManifest) -> None:
    principal, what = context.principal, f"{version.model} {version.version}"
    if format_tier(manifest.format) is not FormatTier.CODE:
        raise Conflict(f"the model of {what} is data, of format {manifest.format!r}; it needs no such word")
    if not context.config.models.allow_pickle:
        raise Conflict(f"the model of {what} is code, and [models] allow_pickle is off; turn that on first")
    if principal.kind == SERVICE:
        raise NotAllowed(f"{principal.name} is a service; that code runs is approved by a person")
    if principal.kind != SYSTEM_KIND and principal.subject == version.author:
        raise NotAllowed(f"{principal.subject} made {what}; somebody else must approve that its code runs")
    if not 1 <= len(request.note.strip()) <= _LONGEST_NOTE:
        raise InvalidRequest(
            "the note says why the code may run, and is kept", field="note", fix=f"give 1 to {_LONGEST_NOTE:,} letters"
        )
    scanned = _scan(context.stores.artifacts, manifest)
    if scanned is not None and not scanned.is_clean and not request.findings:
        raise Conflict(
            f"scanning {what}: {scanned.words}; look at it, and if it may run all the same say so: --findings"
        )


def _scan(artifacts: Artifacts, manifest: BundleManifest) -> Scan | None:
    """What scanning shows; of data there is nothing to scan."""
    if format_tier(manifest.format) is not FormatTier.CODE:
        return None
    if SCAN in manifest.files:
        return decode_scan(artifacts.get(manifest.files[SCAN].digest))
    entry = manifest.files.get(PICKLE_FILE)
    return Scan(status="skipped", reason="no such file") if entry is None else scan(artifacts.get(entry.digest))


def _card(context: Context, manifest: BundleManifest) -> ModelCard:
    """The card in a bundle; of bundles of before there was one, what else is in it and is declared now tells it."""
    artifacts, model = context.stores.artifacts, context.project.models.get(manifest.model)
    if CARD_DOCUMENT in manifest.files:
        card = decode_card(artifacts.get(manifest.files[CARD_DOCUMENT].digest))
    else:
        card = card_of(
            context.project.model(manifest.model),
            decode_report(artifacts.get(manifest.files["report.json"].digest)),
            decode_provenance(artifacts.get(manifest.files[PROVENANCE].digest)),
            project=manifest.project,
            kept_as=manifest.format,
            tier=format_tier(manifest.format),
        )
    if model is None:
        return card
    return replace(
        card,
        owner=card.owner or model.owner,
        purpose=card.purpose or model.purpose,
        risk=card.risk or model.tier,
        limits=card.limits or model.limits,
    )


def _checked(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what=what, holds=True, said=look())
    except Unavailable:
        raise
    except OctavoError as error:
        return Check(what=what, holds=False, said=error.message)


def _found(context: Context, model: str, number: int) -> tuple[ModelVersion, BundleManifest]:
    version = _version(context, model, number)
    return version, decode_manifest(context.stores.artifacts.get(version.digest), digest=version.digest)


def _version(context: Context, model: str, number: int) -> ModelVersion:
    with context.transaction() as tx:
        version = tx.get(ModelVersion, f"{model}/{number}")
        if version is None:
            known = [str(found.version) for found in tx.find(ModelVersion, model=model)]
            raise NotFound(f"version of model {model!r}", str(number), known)
    return version
