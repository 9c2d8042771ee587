"""Bundles, read: everything that a model version is, as files under one digest.

Light: this is what a predictor imports. `octavo.registry.packing` writes what is read here.

A bundle is a manifest that lists files with their digests; its own digest is that of the manifest's bytes. It is opened
only as a whole: a file that is absent, changed or not listed is an error. Each file is read once, and what was verified
is what is loaded.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import LookupPlan, decode_plan
from octavo.errors import IntegrityError
from octavo.registry.tree import Tree
from octavo.stores.ports import Artifacts
from octavo.training.reports import Report, decode_report

MANIFEST = "bundle.json"
ONNX, PLAN, GOLDEN, REPORT = "model/model.onnx", "plan.json", "golden.json", "report.json"
FORMS = "serving.json"
PROVENANCE, CARD, ENVIRONMENT = "provenance.json", "card.md", "environment.txt"
CARD_DOCUMENT, MATERIALS, SCAN = "card.json", "bom.json", "scan.json"
_LARGEST_MANIFEST = 16_000_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
T = TypeVar("T")


class BundleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a bundle."""

    digest: str
    size_bytes: int


class BundleManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle holds.

    Attributes
    ----------
    layout : int
        Of the bundle's files; 1.
    format : str
        Of the native model: ``lightgbm``, ``sklearn``.
    files : dict
        By name relative to the bundle; the manifest itself is not among them.
    """

    layout: int
    project: str
    model: str
    format: str
    files: dict[str, BundleFile]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Golden:
    """Rows with the outputs that a loaded model must reproduce before it may answer.

    Attributes
    ----------
    rows : ndarray, shape (n_rows, n_inputs), float32
    expected : ndarray, shape (n_rows,), float64
        What the native model answered.
    tolerance : float
        Largest allowed difference; relative for expected values above 1 in size.
    n_real : int
        How many of the rows, the first ones, are real: held out from training, and spread over it.
    answers : ndarray, shape (n_real,), float64, or None
        What the function that comes after the model makes of `expected` for the real rows; None if there is none.
    """

    rows: npt.NDArray[np.float32]
    expected: npt.NDArray[np.float64]
    tolerance: float
    n_real: int = 16
    answers: npt.NDArray[np.float64] | None = None

    @property
    def reference(self) -> npt.NDArray[np.float32]:
        """The real rows, shape (n_real, n_inputs)."""
        return self.rows[: self.n_real]

    def check_answers(self, answers: npt.NDArray[np.float64], *, model: str) -> None:
        """Compare what a function makes of the expected outputs of the real rows with what it made of them.

        Raises
        ------
        IntegrityError
            If one differs by more than the tolerance.
        """
        told = np.empty(0) if self.answers is None else self.answers
        if answers.shape != told.shape:
            raise IntegrityError(f"{model}: {len(answers)} answers for {len(told)} golden rows")
        allowed = self.tolerance * np.maximum(1.0, np.abs(told))
        same = (np.abs(answers - told) <= allowed) | (np.isnan(answers) & np.isnan(told))
        if not same.all():
            row = int(np.flatnonzero(~same)[0])
            raise IntegrityError(
                f"{model}: what comes after the model answers {answers[row]:.9g} for golden row {row} instead of "
                f"{told[row]:.9g}; its code does not do here what it did when it was packed, so it must not answer"
            )

    def check(self, outputs: npt.ArrayLike, *, model: str) -> None:
        """Compare outputs for `rows` with what is expected.

        Raises
        ------
        IntegrityError
            If one differs by more than the tolerance, is NaN, or there are too few or too many.
        """
        values = np.asarray(outputs, dtype=np.float64).reshape(-1)
        if values.shape != self.expected.shape:
            raise IntegrityError(f"{model}: {len(values)} outputs for {len(self.expected)} golden rows")
        allowed = self.tolerance * np.maximum(1.0, np.abs(self.expected))
        wrong = np.flatnonzero(~(np.abs(values - self.expected) <= allowed))
        if len(wrong):
            row = int(wrong[0])
            raise IntegrityError(
                f"{model}: golden row {row} gives {values[row]:.9g} instead of {self.expected[row]:.9g}; "
                "this machine's runtime does not reproduce the model, so it must not answer"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """A verified bundle, in memory.

    Attributes
    ----------
    path : Path
        The folder that it was read from.
    files : mapping of name to bytes
        What was verified.
    """

    path: Path
    digest: str
    manifest: BundleManifest
    plan: LookupPlan
    golden: Golden
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def onnx(self) -> bytes:
        """The compiled model, if there is one: one float32 input, shape (n_rows, n_inputs), one float per row."""
        return self.files[ONNX]

    def read(self, name: str) -> bytes:
        """A file, by its name in the manifest."""
        return self.files[name]

    @property
    def code(self) -> Mapping[str, bytes]:
        """The project's modules as they were, by file name; on-demand features are found in them by name."""
        names = (name for name in self.manifest.files if name.startswith("code/"))
        return {name.removeprefix("code/"): self.files[name] for name in names}

    @property
    def report(self) -> Report:
        return decode_report(self.files[REPORT])

    @property
    def card(self) -> str:
        return self.files[CARD].decode()


class _GoldenDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rows: list[list[float | str | None]]
    expected: list[float]
    tolerance: float
    n_real: int = 16
    answers: list[float | None] | None = None


def fetch_bundle(artifacts: Artifacts, digest: str, *, into: Path) -> Bundle:
    """Bring a bundle onto local disk and verify all of it; one that is there already is only verified.

    The folder ``into/<hex digits>`` appears whole or not at all. One that is there and damaged is fetched anew.

    Raises
    ------
    IntegrityError
        If a file is not what the manifest says, or the manifest is not what the digest says.
    NotFound
        If the artifacts lack a file.
    Unavailable
        If the artifacts cannot be reached.
    """
    place = into / _hex(digest)
    if place.is_dir():
        try:
            return open_bundle(place, digest=digest)
        except IntegrityError:
            _discard(place)
    into.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".fetching-", dir=into))
    try:
        _write_all(artifacts, digest, into=scratch)
        _settle(scratch, place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return open_bundle(place, digest=digest)


def open_bundle(path: Path, *, digest: str) -> Bundle:
    """Open a bundle on local disk.

    Raises
    ------
    IntegrityError
        If any file is absent, changed, a link, or not listed in the manifest.
    """
    with Tree(path) as tree:
        manifest = decode_manifest(tree.read(MANIFEST, most_bytes=_LARGEST_MANIFEST), digest=digest)
        if extra := tree.names() - {MANIFEST} - set(manifest.files):
            raise IntegrityError(f"bundle {path} holds {sorted(extra)[0]!r}, which its manifest does not list")
        files = {}
        for name, entry in manifest.files.items():
            files[name] = tree.read(name, size_bytes=entry.size_bytes)
            verify(files[name], entry.digest, what=f"file {name!r} of bundle {digest}")
    return Bundle(
        path=path,
        digest=digest,
        manifest=manifest,
        plan=_plan(files[PLAN]),
        golden=decode_golden(files[GOLDEN]),
        files=files,
    )


def decode_manifest(data: bytes, *, digest: str) -> BundleManifest:
    """Check and decode a manifest.

    Raises
    ------
    IntegrityError
        If it does not fit its digest, is of an unknown layout, lacks a file, or names one unsafely.
    """
    verify(data, digest, what="bundle manifest")
    manifest = _decode(data, BundleManifest, what=MANIFEST)
    if manifest.layout != 1:
        raise IntegrityError(f"bundle {digest} has layout {manifest.layout}; this version of Octavo reads layout 1")
    for name, entry in manifest.files.items():
        if not is_safe_name(name) or not _DIGEST.match(entry.digest):
            raise IntegrityError(f"bundle {digest} lists a file {name!r} with digest {entry.digest!r}: not acceptable")
    needed = {PLAN, GOLDEN, REPORT, PROVENANCE, CARD, ENVIRONMENT, *([] if FORMS in manifest.files else [ONNX])}
    if missing := needed - set(manifest.files):
        raise IntegrityError(f"bundle {digest} lacks {sorted(missing)[0]}; pack it again")
    return manifest


def decode_golden(data: bytes) -> Golden:
    """Golden rows from JSON, in which null is NaN and the infinities are strings.

    Raises
    ------
    IntegrityError
        If the document is not one.
    """
    document = _decode(data, _GoldenDocument, what=GOLDEN)
    try:
        rows = np.array([[np.nan if v is None else float(v) for v in row] for row in document.rows], dtype=np.float32)
    except ValueError as error:
        raise IntegrityError(f"{GOLDEN}: rows differ in length or hold what is no number: {error}") from error
    expected = np.array(document.expected, dtype=np.float64)
    answers = None if document.answers is None else np.array(document.answers, dtype=np.float64)  # None becomes NaN
    return Golden(rows=rows, expected=expected, tolerance=document.tolerance, n_real=document.n_real, answers=answers)


def is_safe_name(name: str) -> bool:
    """Whether a name stays below the folder that it is joined to."""
    return bool(_NAME.match(name)) and name != MANIFEST


def verify(data: bytes, digest: str, *, what: str) -> None:
    """Check bytes against their digest.

    Raises
    ------
    IntegrityError
        If they differ.
    """
    if digest_of(data) != digest:
        raise IntegrityError(f"{what} does not match its digest {digest}; it was changed or damaged")


def digest_of(data: bytes) -> str:
    """``sha256:`` and 64 hex digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _hex(digest: str) -> str:
    if not _DIGEST.match(digest):
        raise IntegrityError(f"{digest!r} is no digest of a bundle; one looks like sha256:<64 hex digits>")
    return digest.removeprefix("sha256:")


def _write_all(artifacts: Artifacts, digest: str, *, into: Path) -> None:
    data = artifacts.get(digest)
    manifest = decode_manifest(data, digest=digest)
    _write_durably(into / MANIFEST, data)
    for name, entry in manifest.files.items():
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        content = artifacts.get(entry.digest)
        verify(content, entry.digest, what=f"file {name!r} of bundle {digest}")
        _write_durably(into / name, content)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _settle(scratch: Path, place: Path) -> None:
    """Move a fetched bundle into place, unless another process was faster."""
    try:
        scratch.rename(place)
    except OSError:
        if not place.is_dir():
            raise
    descriptor = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(place: Path) -> None:
    """Take a damaged bundle away in one step, so that nobody opens what is half removed."""
    aside = Path(tempfile.mkdtemp(prefix=".damaged-", dir=place.parent))
    place.rename(aside / place.name)
    shutil.rmtree(aside, ignore_errors=True)


def _plan(data: bytes) -> LookupPlan:
    try:
        return decode_plan(data)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"{PLAN} of the bundle cannot be read: {error}; pack it again") from error


def _decode(data: bytes, kind: type[T], *, what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"{what} of the bundle cannot be read: {error}; pack it again") from error
