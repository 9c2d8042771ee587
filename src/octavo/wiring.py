"""The composition root: from a project's settings to everything assembled. Only doors and process mains import it."""

from pathlib import Path

from octavo.config import Config, find_root, load_config
from octavo.definitions.project import load_project
from octavo.features.datasets.operations import operations as dataset_operations
from octavo.features.operations import operations as feature_operations
from octavo.governance.access.belonging import BELONGINGS
from octavo.governance.access.operations import operations as access_operations
from octavo.governance.collection import operations as collection_operations
from octavo.governance.lineage.operations import operations as lineage_operations
from octavo.governance.operations import operations as governance_operations
from octavo.loop.backups import operations as backup_operations
from octavo.loop.exports import operations as export_operations
from octavo.loop.imports import operations as import_operations
from octavo.loop.operations import operations as loop_operations
from octavo.loop.reproductions import operations as reproduction_operations
from octavo.loop.retraining_operations import operations as retraining_operations
from octavo.loop.steps import operations as step_operations
from octavo.loop.sweeps import operations as sweep_operations
from octavo.monitoring.operations import operations as monitoring_operations
from octavo.operations import SYSTEM, Context, Dispatcher, Operations, Principal
from octavo.processes import open_clock
from octavo.registry.bundle_operations import operations as bundle_operations
from octavo.registry.operations import operations as registry_operations
from octavo.registry.registered import operations as registered_operations
from octavo.registry.waivers import operations as waiver_operations
from octavo.release.alias_operations import operations as alias_operations
from octavo.release.composite_operations import operations as composite_operations
from octavo.release.experiment_operations import operations as experiment_operations
from octavo.release.history_operations import operations as history_operations
from octavo.release.intervention_operations import operations as intervention_operations
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
        bundle_operations,
        waiver_operations,
        registered_operations,
        release_operations,
        intervention_operations,
        experiment_operations,
        composite_operations,
        alias_operations,
        history_operations,
        monitoring_operations,
        governance_operations,
        lineage_operations,
        access_operations,
        loop_operations,
        retraining_operations,
    ):
        operations.include(slice_operations)
    operations.belongings = BELONGINGS
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
    config.home.mkdir(mode=0o700, parents=True, exist_ok=True)  # whoever makes it first makes it for its owner alone
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
        operations.include(backup_operations)
        operations.include(collection_operations)
        operations.include(export_operations)
        operations.include(sweep_operations)
        operations.include(step_operations)
        operations.include(reproduction_operations)
    return Dispatcher(operations, context)


def config_here(folder: Path | None = None) -> Config:
    """The settings of the project that a folder (the current one unless given) is in."""
    return load_config(find_root((folder or Path.cwd()).resolve()))
