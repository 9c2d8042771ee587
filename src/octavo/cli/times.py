"""Moments, as people write them."""

from datetime import UTC, datetime

from octavo.errors import InvalidRequest


def parse_time(text: str | None, *, option: str) -> datetime | None:
    """An aware moment in UTC; None stays None.

    Raises
    ------
    InvalidRequest
        If it is no RFC 3339 time with an offset.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _refused(text, option) from error
    if moment.tzinfo is None:
        raise _refused(text, option)
    return moment.astimezone(UTC)


def _refused(text: str, option: str) -> InvalidRequest:
    return InvalidRequest(
        f"--{option} {text} is no time with an offset", field=option, fix="write it like 2013-12-07T00:00:00Z"
    )
