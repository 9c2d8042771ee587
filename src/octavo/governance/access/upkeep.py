"""What keeps access in order while nobody asks: the document is published, and uses of keys come into the records."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from octavo.errors import Conflict, OctavoError
from octavo.governance.access.accounts import AccessKey
from octavo.governance.access.publication import publish_access
from octavo.operations import Context
from octavo.serving.access_watch import USES_FOLDER

log = logging.getLogger(__name__)

EVERY_S = 5.0


class AccessUpkeep:
    """Does so every few seconds, in a thread of its own, in each control process.

    Parameters
    ----------
    context : Context
    used : callable
        When keys were last used by calls of this process, in seconds since 1970.
    """

    def __init__(self, context: Context, used: Callable[[], Mapping[str, int]]) -> None:
        self._context, self._used = context, used
        self._noted: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="access upkeep", daemon=True)

    def start(self) -> None:
        """Publish what is not, and see to it from now on."""
        self.do()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def do(self) -> None:
        """Do it once; what cannot be done now is done at the next time."""
        try:
            publish_access(self._context)
            self._note_uses()
        except (OctavoError, OSError) as error:
            log.error("cannot see to access now: %s", error)

    def _go_on(self) -> None:
        while not self._ended.wait(EVERY_S):
            self.do()

    def _note_uses(self) -> None:
        uses = dict(self._used())
        for path in (self._context.config.home / USES_FOLDER).glob("*.json"):
            for key, at_s in _read(path.read_bytes()).items():
                uses[key] = max(at_s, uses.get(key, 0))
        newer = {key: at_s for key, at_s in uses.items() if at_s > self._noted.get(key, 0)}
        if newer:
            note_uses(self._context, newer)
            self._noted |= newer


def note_uses(context: Context, uses: Mapping[str, int]) -> None:
    """Note when keys were last used, in seconds since 1970, where that is later than what is noted."""
    try:
        with context.transaction() as tx:
            for id_, at_s in uses.items():
                key, at = tx.get(AccessKey, id_), datetime.fromtimestamp(at_s, UTC)
                if key is not None and (key.used_at is None or key.used_at < at):
                    tx.replace(key, replace(key, used_at=at))
    except Conflict:
        log.info("another process changed a key just now; its use is noted later")


def _read(data: bytes) -> dict[str, int]:
    try:
        return msgspec.json.decode(data, type=dict[str, int])
    except msgspec.DecodeError:
        return {}
