"""``python -m octavo.training.trial_process FOLDER LIFELINE`` runs one trial of a sweep in this process.

It opens by itself what a training needs, and no more, as it is started for each of many trials.
"""

import os
import sys
from pathlib import Path
from typing import Any

from octavo.config import load_config
from octavo.definitions.project import load_project
from octavo.logs import log_to_stderr
from octavo.operations import SYSTEM, Context
from octavo.processes import open_clock
from octavo.stores.open import open_stores
from octavo.training.steps.child import end_with_parent, run_job
from octavo.training.steps.jobs import Job
from octavo.training.trials import run_trial


def work(job: Job, folder: Path) -> Any:
    """Run the trial that a job asks for."""
    config = load_config(Path(job.root))
    context = Context(
        config=config,
        clock=open_clock(config),
        stores=open_stores(config, writes_online=False),
        project=load_project(config.module_path, name=config.project.name),
        principal=SYSTEM,
    )
    return run_trial(context, job, folder)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[2]))
    log_to_stderr()
    code = run_job(Path(sys.argv[1]), work)
    sys.stderr.flush()
    os._exit(code)  # at once: threads of libraries that still wait have nothing left to do
