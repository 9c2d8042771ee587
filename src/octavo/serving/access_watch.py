"""How a process learns who may call: from the signed access document among the artifacts, kept on its own disk too."""

import logging
import threading
from collections.abc import Callable

import msgspec

from octavo.access import AccessFile, Authority, project_access, write_private
from octavo.access.document import FOLDER, NAME, PURPOSE, AccessDocument
from octavo.config import Config
from octavo.errors import OctavoError
from octavo.serving.following import Following, Kind
from octavo.stores.ports import Artifacts

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
USES_FOLDER = "access-used"
"""Where each process notes when keys were last used, for those who list them."""

_KIND = Kind(folder=FOLDER, purpose=PURPOSE, manifest=AccessDocument, named=lambda _: NAME, said="access document")


class AccessWatch:
    """Keeps an authority up to date.

    Parameters
    ----------
    config : Config
    artifacts : Artifacts
        Where the document is published.
    tokens : AccessFile or None
        Those of this machine; the project's unless given.
    process : str
        Under whose name it notes the uses of keys; empty to note none.

    Attributes
    ----------
    authority : Authority
        Knows what the newest document says that could be verified.
    """

    def __init__(
        self, config: Config, artifacts: Artifacts, *, tokens: AccessFile | None = None, process: str = ""
    ) -> None:
        self.authority = Authority(tokens or project_access(config.home))
        self._following: Following[AccessDocument] = Following(
            config, artifacts, kind=_KIND, prepare=self._prepare, refused=lambda name, reason: None
        )
        self._uses_path = config.home / USES_FOLDER / f"{process}.json" if process else None
        self._uses: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def restore(self) -> None:
        """Know what is on this disk, for which nothing else is needed."""
        self._following.restore()

    def look(self) -> None:
        """Look for a newer document once.

        Raises
        ------
        OctavoError
            If the artifacts cannot be reached; what was known goes on.
        """
        self._following.look()

    def start(self) -> None:
        """Look again and again from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._watch, name="access watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        is_away = False
        while not self._ended.wait(LOOK_EVERY_S):
            try:
                self.look()
                is_away = False
            except OctavoError as error:
                if not is_away:
                    log.error("cannot look who may call; what was known goes on: %s", error.message)
                is_away = True
            self._note_uses()

    def _note_uses(self) -> None:
        """Note when keys were last used, if that is another hour than was noted."""
        uses = self.authority.used()
        if self._uses_path is None or uses == self._uses:
            return
        self._uses = uses
        try:
            write_private(self._uses_path, msgspec.json.encode(uses))
        except OSError as error:
            log.error("cannot note which keys were used: %s", error)

    def _prepare(self, _: str, document: AccessDocument) -> Callable[[], None]:
        return lambda: self.authority.apply(document)
