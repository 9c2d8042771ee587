"""``python -m octavo.loop.reproduction_process FOLDER LIFELINE`` trains again, by the code of a record.

It reads the project's tables, and writes nothing that anybody else reads.
"""

import os
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from octavo.config import load_config
from octavo.definitions.project import load_project
from octavo.features.datasets.training_sets import build_training_set
from octavo.logs import log_to_stderr
from octavo.operations import SYSTEM, Context
from octavo.processes import open_clock
from octavo.registry.wholes import native_files
from octavo.stores.memory import MemoryArtifacts, MemoryMetadata
from octavo.stores.names import digest_of
from octavo.stores.open import open_stores
from octavo.training.assessment import assess
from octavo.training.fit import fit_whole
from octavo.training.runs import Run, RunStatus
from octavo.training.steps.child import end_with_parent, given_to, run_job
from octavo.training.steps.jobs import Job
from octavo.training.tracking.surroundings import environment


def work(job: Job, folder: Path) -> dict[str, Any]:
    """Train as a job says, and tell what came of it."""
    asked = given_to(job, folder)
    context = _context(Path(job.root), Path(job.file))
    model = context.project.model(job.name)
    as_of = datetime.fromisoformat(asked["as_of"])
    run = Run(
        id=job.run,
        model=model.name,
        status=RunStatus.RUNNING,
        trigger=asked["trigger"],
        as_of=as_of,
        started_at=as_of,
        params=asked["params"],
    )
    data = build_training_set(context.stores.tables, model, as_of=as_of, versions=asked["tables"])
    estimator, _ = fit_whole(context, model, data, run=run)
    report, _ = assess(model, data, estimator=estimator, metrics=tuple(asked["metrics"]))
    return {
        "dataset": data.digest,
        "metrics": {name: found.value for name, found in report.metrics.items()},
        "files": {name: digest_of(content) for name, content in native_files(estimator).items()},
        "environment": environment(),
        "python": sys.version.split()[0],
    }


def _context(root: Path, module: Path) -> Context:
    config = load_config(root)
    stores = open_stores(config, writes_online=False)
    return Context(
        config=config,
        clock=open_clock(config),
        stores=replace(stores, metadata=MemoryMetadata(), artifacts=MemoryArtifacts()),
        project=load_project(module, name=config.project.name),
        principal=SYSTEM,
    )


if __name__ == "__main__":
    end_with_parent(int(sys.argv[2]))
    log_to_stderr()
    code = run_job(Path(sys.argv[1]), work)
    sys.stderr.flush()
    os._exit(code)  # at once: threads of libraries that still wait have nothing left to do
