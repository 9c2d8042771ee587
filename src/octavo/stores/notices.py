"""Notices that go to the log, where nobody else was named to hear of them."""

import logging

from octavo.stores.ports import Notice

log = logging.getLogger(__name__)


class LogNotifier:
    """Logs each notice with its parts as fields."""

    def send(self, notice: Notice) -> None:
        log.warning(
            "notice", extra={"subject": notice.subject, "text": notice.text, "noticed_at": notice.at.isoformat()}
        )
