"""What runs may be told: the grammar of names and the limits, refused with the field and the fix."""

import re
from collections.abc import Mapping

from octavo.errors import InvalidRequest, LimitExceeded

MOST_NAME, MOST_PARAM, MOST_TAG, MOST_ERROR = 250, 6_000, 8_000, 10_000
"""Characters of a name, of a parameter's value, of a tag's, and of the error that a run ended with."""

MOST_POINTS = MOST_PARAMS_AT_ONCE = 1_000
"""Of one batch."""

MOST_PARAMS, MOST_TAGS, MOST_METRICS, MOST_ARTIFACTS = 2_000, 1_000, 2_000, 10_000
"""Of one run."""

MOST_HISTORY = 100_000
"""Points that are told at once."""

MOST_ARTIFACT_BYTES = 500_000_000
RESERVED = "octavo/"
"""What artifacts begin with that Octavo itself keeps."""

_NAME = re.compile(r"\w(?:[\w\-. :/]*[\w\-.:])?")
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[\w.\-+=@ (),#~%]{1,200}")
_RUN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_PATH, _MOST_DEPTH = 500, 20


def check_name(name: str, *, field: str) -> str:
    """The name of a metric, parameter or tag.

    Raises
    ------
    InvalidRequest
        If it is none.
    """
    if len(name) > MOST_NAME:
        raise LimitExceeded(
            f"{field}: the name {name[:40]!r}… has {len(name)} characters, and may have {MOST_NAME}", field=field
        )
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{field}: {name!r} is no name",
            field=field,
            fix="begin with a letter, then letters, digits and _ - . : / and spaces",
        )
    return name


def check_title(title: str, *, field: str) -> str:
    """What a run or an experiment is called: any printable text."""
    if len(title) > MOST_NAME:
        raise LimitExceeded(f"{field} has {len(title)} characters, and may have {MOST_NAME}", field=field)
    if not title.isprintable():
        raise InvalidRequest(f"{field} {title!r} is not printable", field=field, fix="use letters, digits and signs")
    return title


def check_texts(texts: Mapping[str, str], *, field: str, most: int) -> Mapping[str, str]:
    """Parameters or tags: their names, and how long their values may be.

    Raises
    ------
    InvalidRequest
        For the first that is wrong.
    """
    if len(texts) > MOST_PARAMS_AT_ONCE:
        raise LimitExceeded(f"{len(texts):,} {field} at once; {MOST_PARAMS_AT_ONCE:,} may be sent", field=field)
    for name, value in texts.items():
        check_name(name, field=field)
        if len(value) > most:
            raise LimitExceeded(
                f"{field}.{name} has {len(value):,} characters, and may have {most:,}",
                field=f"{field}.{name}",
                fix="log long texts as artifacts: run.log_text(name, text)",
            )
        if "\0" in value:
            raise InvalidRequest(
                f"{field}.{name} holds a character of code 0", field=f"{field}.{name}", fix="leave it out"
            )
    return texts


def check_artifact(name: str) -> str:
    """The relative name of an artifact, such as ``plots/roc.svg``.

    Raises
    ------
    InvalidRequest
        If it is none: it begins with ``/``, or a part is empty, ``.`` or ``..``, or has other signs.
    """
    parts = name.split("/")
    if len(name) > _MOST_PATH or len(parts) > _MOST_DEPTH:
        raise LimitExceeded(
            f"the artifact name {name[:40]!r}… is too long: it may have {_MOST_PATH} characters in {_MOST_DEPTH} parts",
            field="name",
        )
    if not all(_SEGMENT.fullmatch(part) for part in parts):
        raise InvalidRequest(
            f"{name!r} is no name of an artifact",
            field="name",
            fix="give parts apart by /, such as plots/roc.svg; no .. and no \\",
        )
    return name


def check_limit(limit: int) -> int:
    """How many points are asked for at once.

    Raises
    ------
    LimitExceeded
        If it is none, or too many.
    """
    if not 1 <= limit <= MOST_HISTORY:
        raise LimitExceeded(f"limit is {limit:,}", field="limit", fix=f"ask for 1 to {MOST_HISTORY:,} at once")
    return limit


def check_run_id(run: str) -> str:
    """An id that a caller chose for a run.

    Raises
    ------
    InvalidRequest
        If it is no UUID in lower case.
    """
    if not _RUN.fullmatch(run):
        raise InvalidRequest(f"{run!r} is no id of a run", field="id", fix="give a UUID in lower case, or none")
    return run
