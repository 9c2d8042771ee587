"""Follows signed documents among the artifacts: each that is new is applied, and kept on the predictor's own disk.

Whatever fails, what was applied last goes on; what cannot be applied is tried again after ever longer pauses.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from octavo.errors import IntegrityError, OctavoError
from octavo.registry.signing import Verifier
from octavo.release.manifests import SignedManifest
from octavo.serving.status import write_atomically
from octavo.stores.ports import Artifacts

log = logging.getLogger(__name__)

_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 5.0
_SUFFIX = ".json"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """A document that could not be applied, and when it is tried again; on the clock of `time.monotonic`."""

    document: bytes
    pause_s: float
    again_at_s: float


class Following:
    """The documents of one kind, by name.

    Parameters
    ----------
    folder : str
        Where they are published, and kept: ``deployments/``.
    home : Path
        The predictor's own disk.
    prepare : callable
        Takes a name and a document, and makes ready to serve by it; returns what then does so. Raises OctavoError or
        OSError if it cannot.
    refused : callable
        Takes a name and the reason, each time that a document cannot be applied.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        *,
        folder: str,
        home: Path,
        prepare: Callable[[str, bytes], Callable[[], None]],
        refused: Callable[[str, str], None],
    ) -> None:
        self._artifacts = artifacts
        self._folder, self._home = folder, home
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
            put_live = self._prepare(name, document)
            write_atomically(self._home / self._path(name), document)
        except (OctavoError, OSError) as error:
            self._refuse(name, document, reason=str(error))
            return
        put_live()
        self._applied[name] = document
        self._refused.pop(name, None)
        log.info("document applied", extra={"document": self._path(name)})

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


def verified(document: bytes, kind: type[T], *, purpose: str, key: Path, what: str) -> T:
    """The content of a signed document.

    Parameters
    ----------
    key : Path
        Of the trusted public key.
    what : str
        For messages: ``the manifest of 'eta'``.

    Raises
    ------
    IntegrityError
        If it cannot be read, or its signature does not fit.
    ConfigurationError
        If there is no trusted key.
    """
    verifier = Verifier.load(key)
    signed = _decode(document, SignedManifest, what=what)
    verifier.verify(purpose, signed.payload, signed.signature)
    return _decode(signed.payload, kind, what=what)


def _decode(data: bytes, kind: type[T], *, what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{what} cannot be read: {error}; publish it again") from error
