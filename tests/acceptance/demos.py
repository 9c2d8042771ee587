"""A short demo as a process of its own: started, interrupted, started again; and what it left in its stores."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.clock import from_micros, to_micros
from octavo.config import Config, load_config
from octavo.definitions.models import Model
from octavo.definitions.order import in_order
from octavo.definitions.project import Project, load_project
from octavo.features.functions import compute
from octavo.features.offline.historical import historical_features
from octavo.processes import CONTROL, PREDICTOR, WORKER, is_alive, run_file
from octavo.stores.delta import DeltaTables

DAYS = 3
"""Long enough for the first incident of the whole replay, and for what it leads to."""

PATIENCE_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A demo that has ended.

    Attributes
    ----------
    stderr : str
        Of all runs up to then.
    """

    code: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> dict[str, Any]:
        """All that it wrote to the output stream, which is one JSON object."""
        answer: dict[str, Any] = json.loads(self.stdout)
        return answer


class Demo:
    """The demo in one folder.

    Parameters
    ----------
    folder : Path
    log : Path
        For its error stream.
    """

    def __init__(self, folder: Path, *, log: Path) -> None:
        self.folder = folder
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    @property
    def at(self) -> datetime | None:
        """The last moment of the replay that is over."""
        journal = self.folder / ".demo" / "journal.jsonl"
        lines = journal.read_bytes().rpartition(b"\n")[0].splitlines() if journal.exists() else []
        return from_micros(json.loads(lines[-1])[0]) if lines else None

    def start(self) -> None:
        command = [sys.executable, "-c", "from octavo.cli import main; main()", "demo", "trips"]
        settings = {name: value for name, value in os.environ.items() if not name.startswith("OCTAVO_")}
        with self._log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [*command, "--folder", str(self.folder), "--exit", "--json", f"--days={DAYS}"],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=settings,
            )

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self) -> Ended:
        """Wait for its end."""
        assert self._process is not None
        stdout, _ = self._process.communicate(timeout=PATIENCE_S)
        return Ended(code=self._process.returncode, stdout=stdout, stderr=self._log.read_text(encoding="utf-8"))

    def stop(self) -> None:
        """See to it that nothing is left, whatever failed."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def until(self, moment: datetime) -> None:
        """Wait until the running demo has come to a moment of its replay."""
        deadline_s = time.monotonic() + PATIENCE_S
        while self.at is None or self.at < moment:
            assert self._process is not None
            assert self._process.poll() is None, f"the demo has ended: {self._log.read_text(encoding='utf-8')}"
            assert time.monotonic() < deadline_s, self._log.read_text(encoding="utf-8")
            time.sleep(0.02)

    def pids(self) -> list[int]:
        """The processes of its project, while it runs."""
        files = [run_file(self.folder / ".octavo", name) for name in (CONTROL, WORKER, PREDICTOR)]
        return [json.loads(file.read_bytes())["pid"] for file in files if file.exists()]


def wait_for_death(pids: list[int], *, timeout_s: float) -> bool:
    """Whether processes have ended, by themselves, within a time."""
    deadline_s = time.monotonic() + timeout_s
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a demo left in its stores."""

    config: Config
    project: Project
    tables: DeltaTables

    def rows(self, sql: str, table: str) -> list[dict[str, Any]]:
        """The rows that a query of one table, called ``t``, gives."""
        rows: list[dict[str, Any]] = self.tables.query(sql, tables={"t": table}).to_pylist()
        return rows

    def served(self, deployment: str) -> pa.Table:
        """The answers that a deployment gave."""
        sql = "SELECT * FROM t WHERE deployment = $deployment AND arm <> 'shadow' ORDER BY id"
        return self.tables.query(sql, tables={"t": "predictions"}, parameters={"deployment": deployment})


def left_by(demo: Demo) -> Left:
    config = load_config(demo.folder, {})
    project = load_project(config.module_path, name=config.project.name)
    return Left(config=config, project=project, tables=DeltaTables(config.path(config.stores.tables)))


def inputs_as_served(served: pa.Table, model: Model) -> npt.NDArray[np.float32]:
    """The inputs of predictions as the log has them, shape (n_rows, n_inputs)."""
    rows = [np.frombuffer(row, "<f4") for row in served.column("inputs").to_pylist()]
    matrix: npt.NDArray[np.float32] = np.stack(rows)
    assert matrix.shape[1] == len(model.input_names)
    return matrix


def inputs_offline(left: Left, served: pa.Table, model: Model) -> npt.NDArray[np.float32]:
    """The inputs of the same predictions, computed from the tables of events as of then."""
    asked = [
        {**json.loads(entities), **json.loads(request)}
        for entities, request in zip(
            served.column("entities").to_pylist(), served.column("request").to_pylist(), strict=True
        )
    ]
    keys = {key: pa.array([row[key] for row in asked]) for view in model.views for key in view.entity_keys}
    spine = pa.table({"at": served.column("at"), **keys})
    rows = historical_features(left.tables, model.views, spine=spine, at="at")
    fields = {
        "sched_dep": np.array([moment_of(row["sched_dep"]) for row in asked], "datetime64[us]"),
        "carrier": np.array([row["carrier"] for row in asked], object),
        "distance": np.array([row["distance"] for row in asked], float),
    }
    computed = {**fields, **compute(in_order(model.on_demand), fields, rows.num_rows)}
    columns = [
        computed[name] if name in computed else rows.column(name).to_numpy(zero_copy_only=False)
        for name in model.input_names
    ]
    matrix: npt.NDArray[np.float32] = np.stack([np.asarray(column, np.float32) for column in columns], axis=1)
    return matrix


def moment_of(text: str) -> np.datetime64:
    return np.datetime64(to_micros(datetime.fromisoformat(text)), "us")
