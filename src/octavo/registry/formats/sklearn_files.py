"""scikit-learn's estimators as files without code: skops, with a pinned list of what may be in them.

skops itself trusts what belongs to scikit-learn, numpy and scipy. An archive is settled before it is kept: skops dates
its members and names them by places in memory, and the same estimator must always be the same bytes.
"""

import io
import json
import zipfile
from collections.abc import Set as AbstractSet
from typing import Any

from octavo.errors import IntegrityError, MissingExtra, TrainingFailed

TRUSTED = frozenset(
    {
        "functools.partial",
        "numpy.dtype",
        "scipy.sparse._csr.csr_matrix",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.compose._column_transformer.make_column_selector",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils.validation.check_array",
    }
)
"""Types that skops asks about and that are trusted here. A made-up tree can crash the process that predicts by it; what
a predictor loads is in a bundle whose digest the project's key has signed."""

_ALWAYS_BYTES, _MOST_TIMES = 100_000_000, 50
"""What an archive may become when it is unpacked: so much in any case, or so many times what it is."""

_SCHEMA = "schema.json"
_DATE = (1980, 1, 1, 0, 0, 0)
_FIX = "build it of scikit-learn's own steps, and compute what else it needs in an on-demand feature"


def dump(estimator: Any) -> bytes:
    """An estimator in an archive of skops; the same one always as the same bytes.

    Raises
    ------
    TrainingFailed
        If something in it is no data that can be trusted, such as a function of the project.
    """
    sio = _skops()
    try:
        data = bytes(sio.dumps(estimator))
        unknown = sorted(set(sio.get_untrusted_types(data=data)) - TRUSTED)
    except Exception as error:  # what stands in an estimator may be anything, and skops fails on it in as many ways
        raise TrainingFailed(f"{_kept(estimator)}: {type(error).__name__}: {error}; {_FIX}") from error
    if unknown:
        raise TrainingFailed(f"{_kept(estimator)}: it holds {', '.join(unknown)}, which is not trusted; {_FIX}")
    return _settled(data)


def load(data: bytes, *, trusted: AbstractSet[str] = TRUSTED) -> Any:
    """The estimator in an archive.

    Parameters
    ----------
    trusted : set of str
        Types that may be in it beside those that skops itself trusts.

    Raises
    ------
    IntegrityError
        If the archive cannot be read, or holds a type that is not trusted.
    """
    sio = _skops()
    try:
        _check_size(data)
        return sio.loads(data, trusted=sorted(trusted))
    except Exception as error:  # the bytes may be anything
        raise IntegrityError(f"the file of a scikit-learn model cannot be loaded: {error}; train it again") from error


def asked_types(data: bytes) -> frozenset[str]:
    """The types in an archive that skops itself does not trust."""
    return frozenset(_skops().get_untrusted_types(data=data))


def _check_size(data: bytes) -> None:
    """Refuse an archive that would become far more than it is."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > max(_ALWAYS_BYTES, _MOST_TIMES * len(data)):
        raise ValueError(f"its {len(data):,} bytes would become {size:,}")


def _kept(estimator: Any) -> str:
    return f"{type(estimator).__name__} cannot be kept without code"


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise MissingExtra("sklearn", "keeping a scikit-learn model") from error
    return skops.io


def _settled(data: bytes) -> bytes:
    """The archive with its members undated, numbered in the order in which its schema names them."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    places: dict[int, int] = {}
    members: dict[str, str] = {}
    schema = _renumbered(json.loads(archive.read(_SCHEMA)), places=places, members=members)
    settled = io.BytesIO()
    with zipfile.ZipFile(settled, "w") as into:
        into.writestr(zipfile.ZipInfo(_SCHEMA, _DATE), json.dumps(schema, separators=(",", ":")))
        for was, name in members.items():
            into.writestr(zipfile.ZipInfo(name, _DATE), archive.read(was))
    return settled.getvalue()


def _renumbered(node: Any, *, places: dict[int, int], members: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_renumbered(item, places=places, members=members) for item in node]
    if not isinstance(node, dict):
        return node
    settled: dict[str, Any] = {}
    for key, value in node.items():
        if key == "__id__" and isinstance(value, int):
            settled[key] = places.setdefault(value, len(places) + 1)
        elif key == "file" and isinstance(value, str):
            settled[key] = members.setdefault(value, f"{len(members) + 1}.{value.rpartition('.')[2]}")
        else:
            settled[key] = _renumbered(value, places=places, members=members)
    return settled
