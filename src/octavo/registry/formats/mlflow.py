"""MLflow's model directories: what their ``MLmodel`` says, read without running anything that is in them.

Written against what MLflow 3.17 saves and the documents of its format. Only commands and workers read them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from octavo.definitions.models import Model
from octavo.errors import InvalidRequest, LimitExceeded
from octavo.training.origins import ImportedModel, Origin

MLMODEL = "MLmodel"
_GENERAL = "python_function"
_MOST_BYTES, _MOST_MLMODEL_BYTES = 4 * 2**30, 2**20
_SIGNED = "save it with signature=mlflow.models.infer_signature(X, y), X being a frame with the columns of the model"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MlflowModel:
    """A model directory of MLflow.

    Attributes
    ----------
    files : mapping of str to bytes
        By path within the directory.
    flavours : mapping of str to (mapping of setting to value)
        Without ``python_function``, which every directory has.
    columns : tuple of str or None
        The inputs by name; None if the signature is of a matrix.
    width : int
        How many inputs it takes; 0 if it is not said.
    """

    files: Mapping[str, bytes]
    flavours: Mapping[str, Mapping[str, Any]]
    columns: tuple[str, ...] | None
    width: int
    mlflow_version: str
    made_at: datetime | None
    run: str

    def file(self, name: object) -> bytes:
        """The content of a file that the ``MLmodel`` names.

        Raises
        ------
        InvalidRequest
            If it is not there.
        """
        if not isinstance(name, str) or name not in self.files:
            raise InvalidRequest(f"the directory lacks {name!r}, which its MLmodel names; save the model again")
        return self.files[name]


def read_directory(folder: Path) -> dict[str, bytes]:
    """All files of a model directory, by path within it; links are passed over.

    Raises
    ------
    InvalidRequest
        If it is no directory with an ``MLmodel``.
    LimitExceeded
        If it holds more than 4 GiB.
    """
    if not (folder / MLMODEL).is_file():
        raise InvalidRequest(
            f"{str(folder)!r} is no model directory of MLflow: it holds no file MLmodel; name the folder that "
            "save_model wrote, or that mlflow.artifacts.download_artifacts brought"
        )
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    if (size := sum(path.stat().st_size for path in paths)) > _MOST_BYTES:
        raise LimitExceeded(f"{str(folder)!r} holds {size:,} bytes; a model may have {_MOST_BYTES:,}")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def parse_directory(files: Mapping[str, bytes]) -> MlflowModel:
    """Read what the ``MLmodel`` among files says.

    Raises
    ------
    InvalidRequest
        If it cannot be read, or does not say what the model takes.
    """
    document = _document(files)
    flavours = document.get("flavors")
    if not isinstance(flavours, dict) or not all(isinstance(one, dict) for one in flavours.values()):
        raise InvalidRequest("the MLmodel names no flavours; save the model again with MLflow")
    columns, width = _signature(document.get("signature"))
    return MlflowModel(
        files=files,
        flavours={str(name): settings for name, settings in flavours.items() if name != _GENERAL},
        columns=columns,
        width=width,
        mlflow_version=str(document.get("mlflow_version") or "of an unknown version"),
        made_at=_moment(document.get("utc_time_created")),
        run=str(document.get("run_id") or ""),
    )


def check_inputs(found: MlflowModel, model: Model) -> None:
    """Refuse a directory whose model takes other inputs than a declared one.

    Raises
    ------
    InvalidRequest
        With the inputs that are too many, lacking or in another order.
    """
    wanted = model.input_names
    if model.category_names:
        raise InvalidRequest(
            f"model {model.name!r} takes categories ({', '.join(model.category_names)}), whose words a directory of "
            "MLflow does not tell; train it here"
        )
    if found.columns is None:
        if found.width not in (0, len(wanted)):
            raise InvalidRequest(f"the model takes {found.width} columns, but {model.name!r} has {len(wanted)} inputs")
        return
    if other := sorted(set(found.columns) - set(wanted)):
        raise InvalidRequest(f"the model takes {', '.join(other)}, which {model.name!r} does not have{_declare(model)}")
    if lacking := [name for name in wanted if name not in found.columns]:
        raise InvalidRequest(f"the model does not take {', '.join(lacking)}, which {model.name!r} has{_declare(model)}")
    if found.columns != wanted:
        raise InvalidRequest(
            f"the model takes its columns in another order than {model.name!r}; train it on columns in the order "
            f"{', '.join(wanted)}"
        )


def imported(found: MlflowModel, *, flavour: str, estimator: Any) -> ImportedModel:
    """An estimator with where it comes from."""
    content = hashlib.sha256()
    for name, data in sorted(found.files.items()):
        content.update(f"{len(name)}:{name}{hashlib.sha256(data).hexdigest()}".encode())
    origin = Origin(
        made_by=f"MLflow {found.mlflow_version}, flavour {flavour}",
        digest=f"sha256:{content.hexdigest()}",
        made_at=found.made_at,
        run=found.run,
    )
    return ImportedModel(estimator=estimator, origin=origin)


def _document(files: Mapping[str, bytes]) -> dict[str, Any]:
    import yaml

    text = files.get(MLMODEL, b"")
    if len(text) > _MOST_MLMODEL_BYTES:
        raise LimitExceeded(f"the MLmodel has {len(text):,} bytes; it may have {_MOST_MLMODEL_BYTES:,}")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"the MLmodel cannot be read: {error}; save the model again with MLflow") from error
    if not isinstance(document, dict):
        raise InvalidRequest("there is no MLmodel, or nothing in it; name the folder that save_model wrote")
    return document


def _signature(signature: Any) -> tuple[tuple[str, ...] | None, int]:
    """The inputs by name, or None if they are a matrix; and how many they are."""
    try:
        inputs = json.loads(signature["inputs"])
        if [one["type"] for one in inputs] == ["tensor"]:
            shape = inputs[0]["tensor-spec"]["shape"]
            return None, max(int(shape[1]), 0) if len(shape) == 2 else 0
        return tuple(str(one["name"]) for one in inputs), len(inputs)
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"the MLmodel has no signature that names the model's inputs; {_SIGNED}") from error


def _moment(value: Any) -> datetime | None:
    """What MLflow notes as text, in UTC without saying so; YAML may have read it as a moment already."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _declare(model: Model) -> str:
    return f"; its inputs are {', '.join(model.input_names)}"
