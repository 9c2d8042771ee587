"""The estimators in MLflow's model directories, by flavour, read as data; what can only be unpickled is refused."""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from octavo.definitions.models import Task
from octavo.errors import InvalidRequest, MissingExtra, OctavoError
from octavo.registry.formats import sklearn_files
from octavo.registry.formats.mlflow import MlflowModel
from octavo.registry.formats.onnx import tensors
from octavo.registry.formats.torch_programs import read_program
from octavo.training.onnx import OnnxEstimator
from octavo.training.torch import TorchEstimator

Settings = Mapping[str, Any]

_OF_LIGHTGBM = frozenset(
    {"collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier"}
    | {"lightgbm.sklearn.LGBMRegressor"}
)
_EXTRAS = {"onnx": "sklearn", "pytorch": "torch"}
_NAMES = "feature_names_in_"


def read_estimator(found: MlflowModel, *, task: Task) -> tuple[str, Any]:
    """The flavour of a directory, and its estimator as a training function could have returned it.

    Raises
    ------
    InvalidRequest
        If it is of no flavour that is known here, can only be unpickled, or cannot be read.
    IntegrityError
        If what is in it is not trusted.
    MissingExtra
        If the flavour's library is not installed.
    """
    known = [flavour for flavour in _READERS if flavour in found.flavours]
    if not known:
        there = ", ".join(sorted(found.flavours)) or "python_function alone"
        raise InvalidRequest(f"the directory is of flavour {there}; taken are: {', '.join(_READERS)}")
    flavour = known[0]
    try:
        return flavour, _READERS[flavour](found, found.flavours[flavour], task)
    except OctavoError:
        raise
    except ImportError as error:
        raise MissingExtra(_EXTRAS.get(flavour, flavour), f"reading a {flavour} model") from error
    except Exception as error:  # a library may fail in any way on bytes that may be anything
        raise InvalidRequest(
            f"the {flavour} model in the directory cannot be read as one of a {task} label: "
            f"{type(error).__name__}: {error}; save it again"
        ) from error


def _of_sklearn(found: MlflowModel, settings: Settings, task: Task) -> Any:
    data = _skops(found, settings, "pickled_model", flavour="sklearn")
    estimator = sklearn_files.load(data)
    _forget_names(estimator)
    return estimator


def _of_lightgbm(found: MlflowModel, settings: Settings, task: Task) -> Any:
    """A booster, as one of scikit-learn's estimators wants the frame back that it was fitted to."""
    import lightgbm

    if str(settings.get("model_class", "lightgbm.basic.Booster")).endswith(".Booster"):
        return lightgbm.Booster(model_str=found.file(settings.get("data")).decode())
    data = _skops(found, settings, "data", flavour="lightgbm")
    return sklearn_files.load(data, trusted=sklearn_files.TRUSTED | _OF_LIGHTGBM).booster_


def _of_xgboost(found: MlflowModel, settings: Settings, task: Task) -> Any:
    import xgboost

    estimator = xgboost.XGBClassifier() if task is Task.BINARY else xgboost.XGBRegressor()
    estimator.load_model(bytearray(found.file(settings.get("data"))))
    return estimator


def _of_catboost(found: MlflowModel, settings: Settings, task: Task) -> Any:
    import catboost

    if (form := settings.get("save_format")) not in (None, "cbm"):
        raise InvalidRequest(f"a CatBoost model saved as {form} is not read; save it with format='cbm'")
    estimator = catboost.CatBoostClassifier() if task is Task.BINARY else catboost.CatBoostRegressor()
    return estimator.load_model(blob=found.file(settings.get("data")))


def _of_onnx(found: MlflowModel, settings: Settings, task: Task) -> Any:
    import onnx

    name = settings.get("data")
    model = onnx.load_from_string(found.file(name))
    folder = PurePosixPath(str(name)).parent
    for tensor in tensors(model.graph):
        _take_in(tensor, found, folder=folder)
    return OnnxEstimator(bytes(model.SerializeToString(deterministic=True)))


def _of_pytorch(found: MlflowModel, settings: Settings, task: Task) -> Any:
    folder = str(settings.get("model_data", "data"))
    if f"{folder}/model.pth" in found.files:
        raise _pickled("pytorch", "pickle", instead="pt2")
    return TorchEstimator.of_program(read_program(found.file(f"{folder}/model.pt2")))


_READERS: dict[str, Callable[[MlflowModel, Settings, Task], Any]] = {
    "lightgbm": _of_lightgbm,
    "xgboost": _of_xgboost,
    "catboost": _of_catboost,
    "sklearn": _of_sklearn,
    "onnx": _of_onnx,
    "pytorch": _of_pytorch,
}


def _skops(found: MlflowModel, settings: Settings, key: str, *, flavour: str) -> bytes:
    """The file of an estimator, unless it is a pickle."""
    form = settings.get("serialization_format") or "pickle"
    if form != "skops":
        raise _pickled(flavour, str(form), instead="skops")
    return found.file(settings.get(key))


def _pickled(flavour: str, form: str, *, instead: str) -> InvalidRequest:
    return InvalidRequest(
        f"the directory keeps its {flavour} model as a {form}, which may run any code when it is read, so it is not "
        f"read; save it with serialization_format={instead!r} (MLflow 3), or train it here"
    )


def _take_in(tensor: Any, found: MlflowModel, *, folder: PurePosixPath) -> None:
    """Put the numbers of a tensor of ONNX that stand in a file of the directory into the tensor."""
    if tensor.data_location != tensor.EXTERNAL:
        return
    place = {entry.key: entry.value for entry in tensor.external_data}
    data, start = found.file((folder / place.get("location", "")).as_posix()), int(place.get("offset", 0))
    tensor.raw_data = data[start : start + int(place["length"])] if "length" in place else data[start:]
    del tensor.external_data[:]
    tensor.data_location = tensor.DEFAULT


def _forget_names(estimator: Any) -> None:
    """Have an estimator and its parts take rows by the place of their columns, whose names were compared already."""
    parts = [estimator]
    if hasattr(estimator, "get_params"):
        parts += [part for part in estimator.get_params(deep=True).values() if hasattr(part, "get_params")]
    for part in parts:
        vars(part).pop(_NAMES, None)
