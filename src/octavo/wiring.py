"""The composition root: from a project's settings to everything assembled. Only doors and process mains import it."""

from pathlib import Path

from octavo.config import Config, find_root, load_config
from octavo.definitions.project import load_project
from octavo.features.datasets.operations import operations as dataset_operations
from octavo.features.operations import operations as feature_operations
from octavo.governance.operations import operations as governance_operations
from octavo.loop.imports import operations as import_operations
from octavo.loop.operations import operations as loop_operations
from octavo.monitoring.operations import operations as monitoring_operations
from octavo.operations import SYSTEM, Context, Dispatcher, Operations, Principal
from octavo.processes import open_clock
from octavo.registry.operations import operations as registry_operations
from octavo.release.alias_operations import operations as alias_operations
from octavo.release.composite_operations import operations as composite_operations
from octavo.release.experiment_operations import operations as experiment_operations
from octavo.release.operations import operations as release_operations
from octavo.stores.open import open_stores
from octavo.training.operations import operations as training_operations


def all_operations() -> Operations:
    """Everything that can be done, of all slices."""
    operations = Operations()
    for slice_operations in (
        feature_operations,
        dataset_operations,
        training_operations,
        registry_operations,
        release_operations,
        experiment_operations,
        composite_operations,
        alias_operations,
        monitoring_operations,
        governance_operations,
        loop_operations,
    ):
        operations.include(slice_operations)
    return operations


def open_context(config: Config, *, principal: Principal = SYSTEM, writes_online: bool = False) -> Context:
    """Load the project and open its stores.

    Parameters
    ----------
    writes_online : bool
        Whether this process is the one that writes online features: the worker, or a command while no worker runs.

    Raises
    ------
    Conflict
        If it is to write online features, and another process does.
    """
    project = load_project(config.module_path, name=config.project.name)
    return Context(
        config=config,
        clock=open_clock(config),
        stores=open_stores(config, writes_online=writes_online),
        project=project,
        principal=principal,
    )


def build_dispatcher(context: Context, *, command: bool = False) -> Dispatcher:
    """The one way in to all operations.

    Parameters
    ----------
    command : bool
        Whether it is for a command, which may also do what no server offers.
    """
    operations = all_operations()
    if command:
        operations.include(import_operations)
    return Dispatcher(operations, context)


def config_here(folder: Path | None = None) -> Config:
    """The settings of the project that a folder (the current one unless given) is in."""
    return load_config(find_root((folder or Path.cwd()).resolve()))
