"""Models that were fitted elsewhere become versions.

Only commands offer this: what a directory holds is parsed by the libraries that wrote it, and a file that was made up
can end the process that reads it, which must not be a server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from octavo.loop.operations import TrainedVersion, train_here
from octavo.operations import Context, Operations
from octavo.registry.formats.mlflow import check_inputs, imported, parse_directory
from octavo.registry.formats.mlflow_flavours import read_estimator

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportModel:
    """Make a version of a model that was fitted elsewhere and saved as a model directory of MLflow.

    Attributes
    ----------
    files : mapping of str to bytes
        All of the directory, by path within it.
    release : bool
        As in `TrainModel`.
    """

    model: str
    files: Mapping[str, bytes] = field(repr=False)
    release: bool = False


@operations.operation("models.import", request=ImportModel, permission="models:write", changes=True, long=True)
def import_model(request: ImportModel, context: Context) -> TrainedVersion:
    """Judge a model of MLflow on what is known now, and register it as a version."""
    model = context.project.model(request.model)
    found = parse_directory(request.files)
    check_inputs(found, model)
    flavour, estimator = read_estimator(found, task=model.task)
    made = imported(found, flavour=flavour, estimator=estimator)
    return train_here(context, model, trigger=f"import ({made.origin.made_by})", release=request.release, made=made)
