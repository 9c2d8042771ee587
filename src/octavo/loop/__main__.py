"""``python -m octavo.loop`` runs the worker, which runs ``python -m octavo.loop train RUN`` for each training."""

import logging
import os
import signal
import sys
import threading
from dataclasses import replace

from octavo.config import config_here
from octavo.errors import OctavoError
from octavo.logs import log_to_stderr
from octavo.loop.membership import Superseded, claimed_from_outside
from octavo.loop.training_logs import keep_log_file, redirect
from octavo.loop.trainings import held, train_version
from octavo.loop.worker import Worker
from octavo.processes import WORKER, Told, follow_supervisor
from octavo.training.runs import Run
from octavo.wiring import open_context

log = logging.getLogger("octavo.loop")


def main(arguments: list[str]) -> int:
    """Run the worker of the project here, or one training for it."""
    log_to_stderr()
    os.umask(0o077)
    try:
        match arguments:
            case []:
                work()
            case ["work", name]:
                work(name)
            case ["train", run_id]:
                end_with_parent()
                return train(run_id)
            case _:
                sys.stderr.write("usage: python -m octavo.loop [work NAME | train RUN]\n")
                return 2
    except OctavoError as error:
        log.error("%s", error.message)
        return 1
    except Superseded as superseded:
        log.error("%s", superseded)
        return 1
    return 0


def work(name: str = WORKER) -> None:
    """Work until SIGTERM or SIGINT, announced under a name."""
    told = Told()
    with told.by_signals():
        follow_supervisor()
        context = open_context(config_here())
        try:
            Worker(context, name=name).run(told)
        finally:
            for store in (context.stores.metadata, context.stores.online, context.stores.stream):
                store.close()


def train(run_id: str) -> int:
    """Take a training that is recorded as requested, or as interrupted; the process's exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker decides
    config = config_here()
    redirect(config.home, run_id)
    context = open_context(config)
    claimed = claimed_from_outside(context.stores.metadata)
    context = replace(context, stores=replace(context.stores, metadata=claimed))
    with context.transaction() as tx:
        run = tx.get(Run, run_id)
    assert run is not None
    with held(context.config.home, run_id):
        try:
            train_version(replace(context, progress=lambda fraction, message: log.info("%s: %s", run_id, message)), run)
        except OctavoError as error:
            log.error("%s", error.message)
            return 1
        finally:
            keep_log_file(context, run_id)
    return 0


def end_with_parent() -> None:
    """End this process at once when the one that started it has ended: its end of the input closes."""

    def watch() -> None:
        while os.read(0, 1):  # not by sys.stdin, which cannot be closed while a thread reads it
            pass
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # at once: threads of ours and of libraries that still wait have nothing left to do
