"""Where each thing is kept and which processes run: what whoever is on call, and an auditor, asks first."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from octavo.clock import Clock
from octavo.config import Config, StoreSettings
from octavo.processes import CONTROL, PREDICTOR, find_running, worker_names
from octavo.serving.status import ModelStatus, models_in_memory

_SETTINGS = tuple(setting.name for setting in fields(StoreSettings))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """A process of the project on this machine.

    Attributes
    ----------
    address : str
        Where it listens; empty if it does not, or does not run.
    """

    name: str
    is_running: bool
    pid: int | None = None
    address: str = ""
    grpc_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemDetails:
    """The platform itself.

    Attributes
    ----------
    stores : mapping of what is kept to its URL
        Without passwords.
    models : tuple of ModelStatus
        Those in the predictor's memory.
    clock : str
        ``system`` or ``replay``.
    """

    project: str
    root: str
    version: str
    clock: str
    now: datetime
    stores: Mapping[str, str]
    processes: tuple[ProcessState, ...]
    models: tuple[ModelStatus, ...] = ()


def describe_system(config: Config, clock: Clock) -> SystemDetails:
    """Look at the settings and at what the processes say of themselves."""
    return SystemDetails(
        project=config.project.name,
        root=str(config.root),
        version=version("octavo"),
        clock="replay" if clock.is_replay else "system",
        now=clock.now(),
        stores={
            setting.name: without_password(getattr(config.stores, setting.name)) for setting in fields(config.stores)
        },
        processes=tuple(process_state(config.home, name) for name in (CONTROL, *worker_names(config), PREDICTOR)),
        models=models_in_memory(config.home),
    )


def process_state(home: Path, name: str) -> ProcessState:
    """What a process says of itself, if it is alive."""
    found = find_running(home, name)
    if found is None:
        return ProcessState(name=name, is_running=False)
    address = found.url if found.port else ""
    return ProcessState(name=name, is_running=True, pid=found.pid, address=address, grpc_address=found.grpc_address)


def without_password(url: str) -> str:
    """A store's URL, fit to be shown: without password and parameters."""
    parts = urlsplit(url)
    if parts.password is None and not parts.query:
        return url
    shown = parts._replace(query="***" if parts.query else "")
    if parts.password is not None:
        holder = f"{parts.username}:" if parts.username else ""
        shown = shown._replace(netloc=f"{holder}***@{parts.netloc.rpartition('@')[2]}")
    return urlunsplit(shown)
