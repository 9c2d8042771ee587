"""The composition root: from a project's settings to everything assembled. Only doors and process mains import it."""

from octavo.config import Config
from octavo.definitions.project import load_project
from octavo.governance.access.belonging import BELONGINGS
from octavo.operations import SYSTEM, Context, Dispatcher, Operations, Principal
from octavo.processes import open_clock
from octavo.stores.open import open_stores

_OPERATIONS = (
    "octavo.features.operations",
    "octavo.features.datasets.operations",
    "octavo.training.operations",
    "octavo.registry.operations",
    "octavo.registry.bundle_operations",
    "octavo.registry.waivers",
    "octavo.registry.registered",
    "octavo.release.operations",
    "octavo.release.intervention_operations",
    "octavo.release.experiment_operations",
    "octavo.release.composite_operations",
    "octavo.release.alias_operations",
    "octavo.release.history_operations",
    "octavo.monitoring.operations",
    "octavo.governance.operations",
    "octavo.governance.lineage.operations",
    "octavo.governance.access.operations",
    "octavo.loop.operations",
    "octavo.loop.retraining_operations",
)
"""The modules that hold them."""

_OF_COMMANDS = (
    "octavo.loop.imports",
    "octavo.loop.backups",
    "octavo.governance.collection",
    "octavo.loop.exports",
    "octavo.loop.sweeps",
    "octavo.loop.steps",
    "octavo.loop.reproductions",
)


def all_operations(*, command: bool = False) -> Operations:
    """Everything that can be done, of all slices.

    Parameters
    ----------
    command : bool
        Whether it is for a command, which may also do what no server offers.
    """
    operations = Operations(*_OPERATIONS, *(_OF_COMMANDS if command else ()))
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
    return Dispatcher(all_operations(command=command), context)
