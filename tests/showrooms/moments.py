"""When things happened in the showroom, and by which ids they are found."""

from datetime import UTC, datetime, timedelta

from octavo.clock import to_micros
from octavo.identifiers import uuid7

NOW = datetime(2013, 5, 20, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOSTILE = "<img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}"


def prediction_id(place: int) -> str:
    """The id of a prediction of ``eta``: 0 is the newest."""
    return f"{uuid7(to_micros(predicted_at(place)))[:14]}7000-8000-{place:012d}"


def predicted_at(place: int) -> datetime:
    """When it was made."""
    return NOW - timedelta(minutes=7 * place + 1)


def call_id(place: int) -> str:
    """The id of a prediction of ``trouble``: 0 is the newest."""
    return made_id(99 - place)


def incident_id(place: int) -> str:
    return made_id(40 + place)


def run_id(place: int) -> str:
    return made_id(20 + place)


def made_id(number: int) -> str:
    return f"018f0000-0000-7000-8000-{number:012d}"
