"""Everything that Octavo can refuse or fail to do, as one tree.

    OctavoError
    ├── ConfigurationError       octavo.toml, the environment or the project's module is wrong
    │   └── MissingExtra         an optional library is needed and not installed
    ├── InvalidDefinition        a declared source, feature, model or deployment cannot be right
    ├── InvalidRequest           a caller sent something that cannot be answered; names the field and the fix
    │   └── LimitExceeded        ... because it is too large, too deep or too much
    ├── NotAuthenticated         no valid token
    ├── NotAllowed               a known caller without the permission
    ├── NotFound                 the named thing does not exist
    ├── Conflict                 the thing changed meanwhile, exists already, or is in another state
    ├── GateFailed               a model version has not earned its promotion
    ├── IntegrityError           bytes are not what their digest, signature or checksum says
    ├── TrainingFailed           a user's training function raised or returned something unusable
    ├── PredictionFailed         a model or an on-demand feature raised, or gave no finite number
    └── Unavailable              a store or process cannot be reached now; try again
        ├── OutOfMemory          ... because a query needs more memory than it may use
        └── Stopped              ... because a person has stopped the deployment

Messages say what, where and what to do next. Adapters translate every vendor's error into this tree. HTTP statuses
live in `octavo.problems`, exit codes in `octavo.cli`.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches

_LISTED = 10
"""How many of the names that there are stand in an error."""


class OctavoError(Exception):
    """Base of all errors that Octavo raises on purpose.

    Parameters
    ----------
    message : str
        What happened, to what, and what to do next; shown to people as it is.
    facts
        Structured facts about the failure, safe to show to the caller (never a feature value or a secret).
    """

    code = "error"

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts: Mapping[str, object] = facts


class ConfigurationError(OctavoError):
    code = "configuration"


class MissingExtra(ConfigurationError):
    """An optional library is needed.

    Parameters
    ----------
    extra : str
        The extra of the `octavo` distribution that brings the library.
    purpose : str
        What it is needed for, as the end of "needed for ...".
    """

    code = "missing_extra"

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs an optional library: pip install 'octavo[{extra}]'", extra=extra)


class InvalidDefinition(OctavoError):
    code = "invalid_definition"


class InvalidRequest(OctavoError):
    """A caller's mistake.

    Parameters
    ----------
    message : str
        What is wrong.
    field : str or None
        Path of the offending field, such as ``rows[3].distance``.
    fix : str or None
        What to send instead.
    """

    code = "invalid_request"

    def __init__(self, message: str, *, field: str | None = None, fix: str | None = None, **facts: object) -> None:
        super().__init__(message, field=field, fix=fix, **facts)
        self.field = field
        self.fix = fix


class LimitExceeded(InvalidRequest):
    code = "limit_exceeded"


class NotAuthenticated(OctavoError):
    code = "not_authenticated"


class NotAllowed(OctavoError):
    code = "not_allowed"


class NotFound(OctavoError):
    """The named thing does not exist.

    Parameters
    ----------
    kind : str
        What was looked for: ``deployment``, ``model version``, ...
    name : str
        Its name as the caller gave it.
    known : collection of str
        Names that do exist; the nearest is suggested.
    fix : str or None
        What to do where none of these is meant.
    """

    code = "not_found"

    def __init__(self, kind: str, name: str, known: Collection[str] = (), *, fix: str | None = None) -> None:
        message = f"there is no {kind} named {name!r}"
        nearest = _nearest(name, list(known))
        if nearest:
            message += f"; did you mean {nearest!r}?"
        elif known:
            message += f"; there are: {', '.join(sorted(known)[:_LISTED])}"
            message += f" and {len(known) - _LISTED:,} more" if len(known) > _LISTED else ""
        super().__init__(message, kind=kind, name=name, **({} if fix is None else {"fix": fix}))


class Conflict(OctavoError):
    code = "conflict"


class GateFailed(OctavoError):
    code = "gate_failed"


class IntegrityError(OctavoError):
    code = "integrity"


class TrainingFailed(OctavoError):
    code = "training_failed"


class PredictionFailed(OctavoError):
    code = "prediction_failed"


class Unavailable(OctavoError):
    code = "unavailable"


class OutOfMemory(Unavailable):
    code = "out_of_memory"


class Stopped(Unavailable):
    code = "stopped"


def _nearest(name: str, known: list[str]) -> str | None:
    matches = get_close_matches(name, known, n=1, cutoff=0.6)
    return matches[0] if matches else None
