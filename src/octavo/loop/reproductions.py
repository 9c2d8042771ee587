"""Reproduces runs: trains again from the record, in an environment of its own, and compares what comes of it."""

import math
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from octavo.errors import Conflict, InvalidRequest, NotFound, OctavoError, TrainingFailed
from octavo.features.datasets.snapshots import DatasetSnapshot
from octavo.loop.environments import clean_variables, make_environment, needed, parse_lock
from octavo.operations import Context, Operations
from octavo.registry.bundles import decode_manifest
from octavo.registry.versions import ModelVersion
from octavo.training.fit import code_digest
from octavo.training.runs import GitState, Run, RunStatus
from octavo.training.steps.jobs import LOG, Ending, Job
from octavo.training.steps.processes import LocalProcesses
from octavo.training.steps.values import encode_value
from octavo.training.tracking.recording import CODE, find_run

_PROCESS = "octavo.loop.reproduction_process"
operations = Operations()

_GIT_TIMEOUT_S = 60.0
_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproduceRun:
    """Train again from the record of a run, and compare; nothing of the project is changed.

    Attributes
    ----------
    environment : {"fresh", "current"}
        Whether the packages of the record are installed anew, or those that are installed here are used.
    """

    run: str
    environment: Literal["fresh", "current"] = "fresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Something of a run beside what it is now.

    Attributes
    ----------
    item : str
        Such as ``dataset`` or ``metric mae``.
    recorded, now : str
        As on record and as it came out.
    note : str
        Why it differs, where that is known.
    """

    item: str
    equal: bool
    recorded: str
    now: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What came of reproducing a run.

    Attributes
    ----------
    reproduced : bool
        Whether rows and metrics are equal, to the last bit.
    same_bytes : bool
        Whether the model's files are too, which not every library allows.
    """

    run: str
    reproduced: bool
    same_bytes: bool
    items: tuple[Compared, ...]


@operations.operation("runs.reproduce", request=ReproduceRun, permission="models:read", long=True)
def reproduce_run(request: ReproduceRun, context: Context) -> Reproduction:
    """Train again from the record of a run, and say what is equal."""
    with context.transaction() as tx:
        run = find_run(tx, request.run)
        _check(run)
        snapshot = tx.get(DatasetSnapshot, run.dataset)
        version = tx.get(ModelVersion, f"{run.model}/{run.version}")
    if snapshot is None or version is None:
        raise NotFound("dataset" if snapshot is None else "version", run.dataset if snapshot is None else run.id)
    folder = context.config.home / "steps" / f"{os.getpid()}-reproduce-{run.id}"
    folder.mkdir(parents=True)
    try:
        made = _Trained(context, run, snapshot, version, folder).again(fresh=request.environment == "fresh")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _compared(context, run, version, made)


class _Trained:
    """A run that is trained again in a folder."""

    def __init__(
        self, context: Context, run: Run, snapshot: DatasetSnapshot, version: ModelVersion, folder: Path
    ) -> None:
        self._context = context
        self._run = run
        self._snapshot = snapshot
        self._version = version
        self._folder = folder

    def again(self, *, fresh: bool) -> dict[str, Any]:
        """What the process says that trains."""
        context, run = self._context, self._run
        code = code_of_run(context, run, self._version)
        module = write_code(context, run, code, into=self._folder / "code")
        python = self._python(code) if fresh else Path(sys.executable)
        context.progress(0.5, f"training {run.model} again")
        executor = LocalProcesses((str(python), "-m", _PROCESS), environment=clean_variables() if fresh else None)
        outcome = executor.run(self._job(module), folder=self._folder / "train", stopped=threading.Event())
        if outcome.ending is not Ending.DONE:
            raise TrainingFailed(f"run {run.id} cannot be trained again: {outcome.error or self._log()}")
        made: dict[str, Any] = outcome.result
        return {**made, "code": code_digest(code)}

    def _python(self, code: Mapping[str, str]) -> Path:
        """The Python of a fresh environment."""
        lock = parse_lock(self._context.stores.artifacts.get(self._run.environment).decode())
        manifest = decode_manifest(
            self._context.stores.artifacts.get(self._version.digest), digest=self._version.digest
        )
        packages = needed(lock, code, libraries=_LIBRARIES.get(manifest.format, (manifest.format,)))
        return make_environment(
            self._folder / "environment",
            packages,
            python=self._run.hardware.get("python", sys.version.split()[0]),
            tell=lambda message: self._context.progress(0.1, message),
        )

    def _job(self, module: Path) -> Job:
        run = self._run
        asked = {
            "as_of": run.as_of.isoformat(),
            "trigger": run.trigger,
            "params": dict(run.params),
            "tables": dict(self._snapshot.tables),
            "metrics": list(self._version.metrics),
        }
        arguments = encode_value(asked, keep=lambda data: "", where="the record of the run")
        root = str(self._context.config.root.resolve())
        return Job(module="", file=str(module), name=run.model, arguments=arguments, run=run.id, root=root)

    def _log(self) -> str:
        written = (self._folder / "train" / LOG).read_text(encoding="utf-8", errors="replace").strip()
        return written.rpartition("\n")[2]


def code_of_run(context: Context, run: Run, version: ModelVersion) -> dict[str, str]:
    """The project's modules as they were: from the run's artifacts, or from the bundle.

    Raises
    ------
    Conflict
        If what is kept is not the code that the run names.
    """
    artifacts = context.stores.artifacts
    if CODE in run.artifacts:
        code = msgspec.json.decode(artifacts.get(run.artifacts[CODE]), type=dict[str, str])
    else:
        manifest = decode_manifest(artifacts.get(version.digest), digest=version.digest)
        files = {name.removeprefix("code/"): file for name, file in manifest.files.items() if name.startswith("code/")}
        code = {name: artifacts.get(file.digest).decode() for name, file in files.items()}
    if code_digest(code) != run.code:
        raise Conflict(f"the code that is kept of run {run.id} is not the code that it names, {run.code}")
    return code


def write_code(context: Context, run: Run, code: Mapping[str, str], *, into: Path) -> Path:
    """Write the project's modules into a folder, among the files of the commit that they came from; the module's file.

    What is kept of the run itself is what counts; a commit only adds what lay beside it.
    """
    place = into
    if run.git is not None and _COMMIT.fullmatch(run.git.commit):
        place = into / _checkout(context.config.root, run.git, into=into)
    place.mkdir(parents=True, exist_ok=True)
    for name, text in code.items():
        (place / Path(name).name).write_text(text, encoding="utf-8")
    return place / context.config.module_path.name


def _checkout(root: Path, git: GitState, *, into: Path) -> str:
    """Write the files of a commit; where in them the project is. Nothing where the commit is not at hand."""
    into.mkdir(parents=True)
    archive = into.with_name("commit.tar")
    try:
        top, prefix = _git(root, "rev-parse", "--show-toplevel"), _git(root, "rev-parse", "--show-prefix")
        _git(Path(top), "archive", "--format=tar", f"--output={archive}", git.commit)
        shutil.unpack_archive(archive, into, format="tar", filter="data")
    except (OSError, subprocess.SubprocessError, shutil.ReadError):
        return ""
    return prefix.rstrip("/")


def _git(folder: Path, *command: str) -> str:
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(
        ["git", *command], cwd=folder, env=quiet, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True
    )
    return done.stdout.strip()


def _check(run: Run) -> None:
    """Refuse what is no training that can be done again."""
    if not run.model:
        raise InvalidRequest(
            f"run {run.id} trained no declared model, so nothing says how to do it again",
            field="run",
            fix="give the run of a training: octavo runs",
        )
    if run.trigger.startswith("import ("):
        raise InvalidRequest(f"run {run.id} took over a model that was fitted elsewhere: {run.trigger}", field="run")
    if run.status is not RunStatus.SUCCEEDED or run.version is None:
        raise Conflict(f"run {run.id} is {run.status} and has made no version, so there is nothing to compare with")


def _compared(context: Context, run: Run, version: ModelVersion, made: Mapping[str, Any]) -> Reproduction:
    manifest = decode_manifest(context.stores.artifacts.get(version.digest), digest=version.digest)
    dataset = _item("dataset", run.dataset, made["dataset"], note="tables or features are not what they were")
    metrics = [
        _metric(f"metric {name}", recorded, made["metrics"].get(name)) for name, recorded in version.metrics.items()
    ]
    files = [
        _item(name, manifest.files[name].digest if name in manifest.files else "", digest, note=_NOT_BITWISE)
        for name, digest in sorted(made["files"].items())
    ]
    around = [
        _item("code", run.code, made["code"]),
        _item("python", run.hardware.get("python", ""), made["python"]),
        _packages(context, run, made["environment"]),
    ]
    return Reproduction(
        run=run.id,
        reproduced=dataset.equal and all(one.equal for one in metrics),
        same_bytes=bool(files) and all(one.equal for one in files),
        items=(*around, dataset, *metrics, *files),
    )


_NOT_BITWISE = "the library does not write the same model as the same bytes, or it is another model"
_LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "sklearn": ("scikit-learn", "skl2onnx"),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "torch": ("torch", "onnxscript"),
    "onnx": ("onnx",),
}


def _item(item: str, recorded: str, now: str, *, note: str = "") -> Compared:
    equal = recorded == now
    return Compared(item=item, equal=equal, recorded=recorded, now=now, note="" if equal else note)


def _metric(item: str, recorded: float, now: float | None) -> Compared:
    if now is None:
        return Compared(item=item, equal=False, recorded=repr(recorded), now="", note="it was not computed")
    equal = recorded == now or (math.isnan(recorded) and math.isnan(now))
    note = "" if equal else f"differs by {now - recorded:.3g}; is the training's chance seeded, its threads one?"
    return Compared(item=item, equal=equal, recorded=repr(recorded), now=repr(now), note=note)


def _packages(context: Context, run: Run, now: str) -> Compared:
    """The packages that were there now, beside those of the record; that others are absent is no difference."""
    try:
        lock = parse_lock(context.stores.artifacts.get(run.environment).decode())
    except OctavoError:
        return Compared(item="packages", equal=False, recorded="", now="", note="no environment is on record")
    used = {name: version for name, version in parse_lock(now).items() if name not in ("pip", "setuptools", "uv")}
    other = sorted(name for name, version in used.items() if lock.get(name) != version)
    note = ", ".join(f"{name} {lock.get(name, 'none')} is now {used[name]}" for name in other[:10])
    return Compared(
        item="packages", equal=not other, recorded=f"{len(lock)} on record", now=f"{len(used)} there", note=note
    )
