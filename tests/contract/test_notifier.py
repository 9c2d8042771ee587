"""What every notifier promises."""

import logging
from datetime import UTC, datetime

import pytest

from octavo.stores.memory import MemoryNotifier
from octavo.stores.notices import LogNotifier
from octavo.stores.ports import Notice

NOTICE = Notice(subject="incident opened", text="eta: mae is 31, at most 25", at=datetime(2013, 1, 1, tzinfo=UTC))


def test_the_fake_keeps_what_was_sent() -> None:
    notifier = MemoryNotifier()
    notifier.send(NOTICE)
    assert notifier.sent == [NOTICE]


def test_the_log_gets_the_parts_of_a_notice_as_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        LogNotifier().send(NOTICE)
    [record] = caplog.records
    assert (record.getMessage(), record.__dict__["subject"], record.__dict__["text"]) == (
        "notice",
        "incident opened",
        "eta: mae is 31, at most 25",
    )
