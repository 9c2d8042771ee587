"""Follows signed documents among the artifacts: each that is new is applied, and kept on the predictor's own disk.

Whatever fails, what was applied last goes on; what cannot be applied is tried again after ever longer pauses.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from octavo.config import Config
from octavo.errors import IntegrityError, OctavoError
from octavo.registry.signing import Verifier
from octavo.release.documents import Numbered
from octavo.release.manifests import SignedManifest
from octavo.serving.counters import Counters
from octavo.serving.status import write_atomically
from octavo.stores.ports import Artifacts

log = logging.getLogger(__name__)

_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 5.0
_SUFFIX = ".json"
T = TypeVar("T", bound=Numbered)
D = TypeVar("D")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """A document that could not be applied, and when it is tried again; on the clock of `time.monotonic`."""

    document: bytes
    pause_s: float
    again_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[T]):
    """Documents of one kind.

    Attributes
    ----------
    folder : str
        Where they are published, and kept: ``deployments/``.
    purpose : str
        What they are signed for.
    manifest : type
        What they hold.
    named : callable
        Of what a document says that it is.
    said : str
        What stands before a name in messages: ``composite``.
    """

    folder: str
    purpose: str
    manifest: type[T]
    named: Callable[[T], str]
    said: str = ""

    def of(self, name: str) -> str:
        """How a message calls one."""
        return f"{self.said} {name!r}".lstrip()


class Following(Generic[T]):
    """The documents of one kind, by name.

    A document counts only if the project's release key signed it, it is for this project and name, and its number is
    above that of the one that is served by, and not below that of any that was.

    Parameters
    ----------
    config : Config
    kind : Kind
    prepare : callable
        Takes a name and what its document holds, and makes ready to serve by it; returns what then does so. Raises
        OctavoError or OSError if it cannot.
    refused : callable
        Takes a name and the reason, each time that a document cannot be applied.
    """

    def __init__(
        self,
        config: Config,
        artifacts: Artifacts,
        *,
        kind: Kind[T],
        prepare: Callable[[str, T], Callable[[], None]],
        refused: Callable[[str, str], None],
    ) -> None:
        self._artifacts = artifacts
        self._kind, self._folder, self._home = kind, kind.folder, config.home / "predictor"
        self._project, self._key = config.project.name, config.home / "keys" / "release.pub"
        self._counters = Counters(self._home)
        self._serving: dict[str, T] = {}
        self._prepare, self._tell_refused = prepare, refused
        self._applied: dict[str, bytes] = {}
        self._refused: dict[str, _Refused] = {}

    def restore(self) -> None:
        """Apply what is on the predictor's own disk, for which nothing else is needed."""
        for path in sorted((self._home / self._folder).glob(f"*{_SUFFIX}")):
            self._consider(path.name.removesuffix(_SUFFIX), path.read_bytes())

    def look(self) -> None:
        """Look for new documents once and apply them.

        Raises
        ------
        OctavoError
            If the artifacts cannot be reached.
        """
        for name, document in self._published():
            if self._is_due(name, document):
                self._consider(name, document)

    def newer(self) -> Iterator[tuple[str, T]]:
        """What is published and not applied yet, verified; from any thread, while another one is busy applying.

        Raises
        ------
        OctavoError
            If the artifacts cannot be reached.
        """
        for name, document in self._published():
            if document != self._applied.get(name):
                with suppress(OctavoError):  # whoever applies it says why not
                    yield name, self._verified(name, document)

    def _published(self) -> Iterator[tuple[str, bytes]]:
        for path in self._artifacts.published_names(self._folder):
            name = path.removeprefix(self._folder).removesuffix(_SUFFIX)
            if path == self._path(name) and (document := self._artifacts.published(path)) is not None:
                yield name, document

    def _is_due(self, name: str, document: bytes) -> bool:
        if document == self._applied.get(name):
            return False
        refused = self._refused.get(name)
        return refused is None or refused.document != document or time.monotonic() >= refused.again_at_s

    def _consider(self, name: str, document: bytes) -> None:
        """Apply a document, or note why not."""
        try:
            manifest = self._verified(name, document)
            put_live = self._prepare(name, manifest)
            write_atomically(self._home / self._path(name), document)
            self._counters.note(self._path(name), manifest.sequence)
        except (OctavoError, OSError) as error:
            self._refuse(name, document, reason=str(error))
            return
        put_live()
        self._serving[name] = manifest
        self._applied[name] = document
        self._refused.pop(name, None)
        log.info("document applied", extra={"document": self._path(name)})

    def _verified(self, name: str, document: bytes) -> T:
        kind, of = self._kind, self._kind.of(name)
        verifier = Verifier.load(self._key)
        signed = _decode(document, SignedManifest, of=of)
        verifier.verify(kind.purpose, signed.payload, signed.signature)
        manifest = _decode(signed.payload, kind.manifest, of=of)
        if (manifest.project, kind.named(manifest)) != (self._project, name):
            raise IntegrityError(
                f"the manifest published for {of} of project {self._project!r} is one for {kind.named(manifest)!r} of "
                f"{manifest.project!r}; publish the right one"
            )
        serving = self._serving.get(name, manifest)
        if manifest.sequence <= serving.sequence and manifest != serving:
            raise IntegrityError(
                f"manifest {manifest.sequence} of {of} is not newer than {serving.sequence}, now served; publish it "
                "under a higher sequence"
            )
        if manifest.sequence < (highest := self._counters.of(self._path(name))):
            raise IntegrityError(
                f"manifest {manifest.sequence} of {of} is older than {highest}, which was served before (a downgrade); "
                "publish it under a higher sequence"
            )
        return manifest

    def _refuse(self, name: str, document: bytes, *, reason: str) -> None:
        before = self._refused.get(name)
        again = before is not None and before.document == document
        pause_s = min(before.pause_s * 2, _LAST_RETRY_S) if before and again else _FIRST_RETRY_S
        self._refused[name] = _Refused(document=document, pause_s=pause_s, again_at_s=time.monotonic() + pause_s)
        self._tell_refused(name, reason)
        if not again:
            log.error("document refused; the last good one goes on", extra={"document": name, "reason": reason})

    def _path(self, name: str) -> str:
        return f"{self._folder}{name}{_SUFFIX}"


def _decode(data: bytes, kind: type[D], *, of: str) -> D:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"the manifest of {of} cannot be read: {error}; publish it again") from error
