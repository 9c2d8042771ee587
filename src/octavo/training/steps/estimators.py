"""Fitted estimators between steps: skops, which keeps no code, and with a list of what may be in them."""

from typing import Any

from octavo.errors import IntegrityError, MissingExtra, TrainingFailed

_LIBRARIES = frozenset({"sklearn", "lightgbm", "xgboost", "catboost"})
_TRUSTED_PARTS = frozenset({"numpy", "scipy", *_LIBRARIES})
_TRUSTED_TYPES = frozenset({"collections.OrderedDict", "functools.partial"})
"""What else these libraries' estimators are made of. What is read here was written by a step of the same project, and
is found by a digest among its records; nothing that came from elsewhere is ever read so."""


def is_estimator(value: Any) -> bool:
    """Whether a value is an estimator, or a booster, of a library whose estimators can be kept."""
    return any(kind.__module__.partition(".")[0] in _LIBRARIES for kind in type(value).__mro__)


def dump_estimator(estimator: Any, *, where: str) -> bytes:
    """An estimator in an archive of skops.

    Raises
    ------
    TrainingFailed
        If something in it is no data that can be trusted, such as a function of the project.
    """
    sio = _skops()
    try:
        data = bytes(sio.dumps(estimator))
        unknown = _untrusted(sio, data)
    except Exception as error:  # what stands in an estimator may be anything, and skops fails on it in as many ways
        raise TrainingFailed(
            f"{where} holds a {type(estimator).__name__} that cannot be kept as data: {type(error).__name__}: {error}"
        ) from error
    if unknown:
        raise TrainingFailed(
            f"{where} holds a {type(estimator).__name__} with {', '.join(unknown)}, which is code; fit it in the "
            "training function itself"
        )
    return data


def load_estimator(data: bytes) -> Any:
    """The estimator in an archive.

    Raises
    ------
    IntegrityError
        If it cannot be read, or holds a type that is not trusted.
    """
    sio = _skops()
    try:
        trusted = set(sio.get_untrusted_types(data=data)) - set(_untrusted(sio, data))
        return sio.loads(data, trusted=sorted(trusted))
    except Exception as error:  # the bytes may be anything
        raise IntegrityError(f"an estimator that a step returned cannot be read: {error}; train again") from error


def _untrusted(sio: Any, data: bytes) -> list[str]:
    found = set(sio.get_untrusted_types(data=data)) - _TRUSTED_TYPES
    return sorted(kind for kind in found if kind.partition(".")[0] not in _TRUSTED_PARTS)


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise MissingExtra("sklearn", "giving an estimator from one step to another") from error
    return skops.io
