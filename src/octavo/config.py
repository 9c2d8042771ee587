"""How a project is set up: defaults, then `octavo.toml`, then `OCTAVO_*` from the environment.

Every setting `[section] name` can be given as ``OCTAVO_SECTION_NAME``. Secrets are references (``env:NAME``,
``file:PATH``), resolved where they are used.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from octavo.access_settings import AccessSettings, OidcSettings
from octavo.errors import ConfigurationError
from octavo.record_settings import AuditSettings, LineageSettings

FILE_NAME = "octavo.toml"


@dataclass(frozen=True, kw_only=True)
class ProjectSettings:
    """[project]: what the project is called and which module declares it."""

    name: str = "project"
    module: str = "project.py"


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """[stores]: where things are kept, by URL; relative paths are below the project's folder."""

    metadata: str = "sqlite:///.octavo/metadata.db"
    tables: str = ".octavo/tables"
    online: str = "lmdb:.octavo/online"
    stream: str = "log:.octavo/stream"
    artifacts: str = "file:.octavo/artifacts"
    workflows: str = "sqlite:///.octavo/workflows.db"


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """[engine]: what runs heavy queries, ``duckdb:`` or ``spark:MASTER``, and what this machine gives to queries."""

    url: str = "duckdb:"
    memory: str = "2GB"
    threads: int = 2


@dataclass(frozen=True, kw_only=True)
class ControlSettings:
    """[control]: the HTTP API and console. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8080
    max_body_bytes: int = 64_000_000
    behind_proxy: bool = False


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """[worker]: who carries the loop on.

    Attributes
    ----------
    processes : int
        How many workers there are; several need metadata and workflows in PostgreSQL.
    dead_after : str
        How long a worker may stand still before another takes over what it does.
    """

    processes: int = 1
    dead_after: str = "10s"


@dataclass(frozen=True, kw_only=True)
class PredictorSettings:
    """[predictor]: the data plane. Port 0 takes a free one.

    Attributes
    ----------
    grpc_port : int
        Where it speaks gRPC, with the extra ``grpc``; 0 takes a free one, -1 none.
    log : {"fast", "durable"}
        Whether a prediction is answered once its record is with the operating system, so that it survives the death of
        the process, or once it is on disk.
    publish : str
        A topic that predictions are sent to, beside their table: ``kafka://HOST:PORT/TOPIC``; empty for none.
    workers : int or "cores"
        How many processes answer on the same port, from 1 on; ``cores`` is one per core.
    timeout_ms : int
        What a request may take, from its headers to its answer.
    max_wait_ms : int
        How long requests may wait for their turn, while more come than can be answered, before some are turned away.
    linger_ms : int
        How long a predictor that was told to stop still takes requests, saying that it is not ready, so that those who
        balance load see it first.
    stuck_after_ms : int
        How long the event loop may stand still, as in a model that does not come back, before the process is ended and
        started anew; 0 for ever.
    model_memory : str
        How much the models in memory may take before those that no deployment holds are unloaded, the one that was
        unused for longest first; ``2GB``.
    keep_former : str
        How long a version stays loaded that a deployment or an alias has left, so that to go back takes no time.
    code_timeout_ms : int
        How long the functions that travel with a version or a composite may take for some rows, in their own process.
    code_memory : str
        What each such process may allocate; ``512MB``.
    keep_answers : str
        How long the answer to an asynchronous prediction can be fetched, and its callback is tried.
    max_later_body_bytes, max_later_rows : int
        Of one asynchronous prediction.
    max_waiting, max_kept_bytes : int
        Asynchronous predictions that are not answered yet; and the bytes of these and of all answers that are kept.
    callbacks : tuple of str
        Below which addresses callers may be told of answers.
    callback_hosts : tuple of str
        The hosts among them that may have addresses which are not public.
    callback_secret : str
        Where the key is that callbacks are signed with.
    """

    host: str = "127.0.0.1"
    port: int = 8081
    grpc_port: int = 8082
    max_body_bytes: int = 4_000_000
    max_rows: int = 10_000
    max_concurrent: int = 256
    max_connections: int = 1_024
    max_wait_ms: int = 250
    timeout_ms: int = 10_000
    linger_ms: int = 0
    stuck_after_ms: int = 30_000
    log: Literal["fast", "durable"] = "fast"
    publish: str = ""
    workers: int | Literal["cores"] = 1
    lookup_timeout_ms: int = 20
    code_timeout_ms: int = 500
    code_memory: str = "512MB"
    model_memory: str = "2GB"
    keep_former: str = "1h"
    keep_answers: str = "24h"
    max_later_body_bytes: int = 32_000_000
    max_later_rows: int = 100_000
    max_waiting: int = 1_000
    max_kept_bytes: int = 1_000_000_000
    callbacks: tuple[str, ...] = ()
    callback_hosts: tuple[str, ...] = ()
    callback_secret: str = ""
    behind_proxy: bool = False


@dataclass(frozen=True, kw_only=True)
class ClockSettings:
    """[clock]: ``system``, or ``replay`` for demos and backtests; `start` is where a new replay stands (RFC 3339)."""

    mode: str = "system"
    start: str = ""
    max_lag: str = "2h"


@dataclass(frozen=True, kw_only=True)
class ApprovalSettings:
    """[approval]: whose word a release needs at least, by the tier of its model, whatever its deployment declares.

    Each is ``policy`` (nobody's: it passed its gates), ``manual`` (one person's), or such as
    ``2 of risk, ml-lead within 7d``. A model without a tier counts as high.

    Attributes
    ----------
    groups : tuple of str
        Who belongs to which group: ``risk:ada``, ``risk:grace``.
    """

    low: str = "policy"
    medium: str = "policy"
    high: str = "policy"
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TelemetrySettings:
    """[telemetry]: where the predictor sends spans of requests; by default nowhere.

    Attributes
    ----------
    otlp : str
        Of an OpenTelemetry collector, such as ``http://127.0.0.1:4318``.
    sample : float
        The share of the requests that begin a trace, where their callers have not decided.
    """

    otlp: str = ""
    sample: float = 0.01


@dataclass(frozen=True, kw_only=True)
class SigningSettings:
    """[signing]: who signs models for the world, and how long what is signed about a release may be taken up.

    Attributes
    ----------
    method : {"key", "certificate", "sigstore"}
        How the OpenSSF model signature of a version is made.
    key : str
        Where the private key is, PEM: ``file:PATH`` or ``env:NAME``. The default one is made when it is first needed.
    certificate : str
        Of that key, PEM, then those that issued it: a reference too.
    roots : str
        The certificates that are trusted, PEM, to verify by.
    identity, issuer : str
        Whom a keyless signature must be of, and who says so.
    statements : str
        How long a release statement may be taken up; the worker renews it long before. ``never`` for without end.
    """

    method: Literal["key", "certificate", "sigstore"] = "key"
    key: str = "file:.octavo/keys/models.pem"
    certificate: str = ""
    roots: str = ""
    identity: str = ""
    issuer: str = ""
    statements: str = "90d"


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """[models]: whether models may be pickles, which are code, and what the process of each may do.

    Attributes
    ----------
    allow_pickle : bool
        Needed to make, release and serve one; each version needs a person's approval besides.
    pickle_memory : str
        What the process may allocate.
    pickle_timeout_ms : int
        What it may take for the rows of a request.
    """

    allow_pickle: bool = False
    pickle_memory: str = "1GB"
    pickle_timeout_ms: int = 1_000


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """[training]: what this machine gives to a training.

    Attributes
    ----------
    steps_at_once : int or "cores"
        How many of its steps may run at a time; ``cores`` is one per core.
    """

    steps_at_once: int | Literal["cores"] = "cores"


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a project, and the folder that they are relative to."""

    root: Path = field(default_factory=Path.cwd)
    project: ProjectSettings = field(default_factory=ProjectSettings)
    stores: StoreSettings = field(default_factory=StoreSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    predictor: PredictorSettings = field(default_factory=PredictorSettings)
    clock: ClockSettings = field(default_factory=ClockSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    lineage: LineageSettings = field(default_factory=LineageSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    approval: ApprovalSettings = field(default_factory=ApprovalSettings)
    signing: SigningSettings = field(default_factory=SigningSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    oidc: OidcSettings = field(default_factory=OidcSettings)

    @property
    def home(self) -> Path:
        """Where the platform keeps what is its own: keys, the process files, the predictor's disk."""
        return self.root / ".octavo"

    @property
    def module_path(self) -> Path:
        return self.root / self.project.module

    def path(self, url: str) -> Path:
        """The local path that a store's URL names (``lmdb:PATH``, ``file:PATH``, ``sqlite:///PATH`` or a bare path)."""
        _, _, rest = url.rpartition(":")
        return self.root / rest.removeprefix("///")


_SECTIONS = {
    "project": ProjectSettings,
    "stores": StoreSettings,
    "engine": EngineSettings,
    "control": ControlSettings,
    "worker": WorkerSettings,
    "predictor": PredictorSettings,
    "clock": ClockSettings,
    "audit": AuditSettings,
    "lineage": LineageSettings,
    "telemetry": TelemetrySettings,
    "approval": ApprovalSettings,
    "signing": SigningSettings,
    "models": ModelSettings,
    "training": TrainingSettings,
    "access": AccessSettings,
    "oidc": OidcSettings,
}


def find_root(start: Path) -> Path:
    """The nearest folder at or above `start` that holds an octavo.toml.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise ConfigurationError(
        f"{start} is not inside a project: no {FILE_NAME} here or above; make one with: octavo new trips FOLDER"
    )


def config_here(folder: Path | None = None) -> Config:
    """The settings of the project that a folder (the current one unless given) is in."""
    return load_config(find_root((folder or Path.cwd()).resolve()))


def load_config(root: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read a project's settings.

    Raises
    ------
    ConfigurationError
        For TOML that cannot be read, an unknown section or setting, or a value of the wrong type.
    """
    environment = os.environ if environment is None else environment
    file = root / FILE_NAME
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file}: {error}") from error
    unknown = set(document) - set(_SECTIONS)
    if unknown:
        raise ConfigurationError(f"{file}: unknown section [{sorted(unknown)[0]}]; there are: {', '.join(_SECTIONS)}")
    sections: dict[str, object] = {}
    for name, settings in _SECTIONS.items():
        values = dict(document.get(name, {}))
        for setting in _names(settings):
            given = environment.get(f"OCTAVO_{name}_{setting}".upper())
            if given is not None:
                values[setting] = given.split() if isinstance(getattr(settings, setting), tuple) else given
        sections[name] = _settings(settings, values, where=f"{file} [{name}]")
    return replace(Config(root=root), **sections)  # type: ignore[arg-type]  # each section has its own type, checked above


def _names(settings: Any) -> list[str]:
    return [field.name for field in fields(settings)]


def _settings(settings: type, values: dict[str, object], *, where: str) -> object:
    unknown = set(values) - set(_names(settings))
    if unknown:
        known = ", ".join(_names(settings))
        raise ConfigurationError(f"{where}: unknown setting {sorted(unknown)[0]!r}; there are: {known}")
    try:
        return msgspec.convert(values, settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {error}") from error
