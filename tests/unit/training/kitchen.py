"""Steps to try things on. They note in a folder that they were called, so that calls in any process are counted."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

import octavo as oc

FACTOR = 2.0
LOCK = threading.Lock()
"""Something that cannot be compared."""


def noted(folder: str, what: str) -> int:
    """How often `what` was noted, this time included."""
    place = Path(folder) / what
    with place.open("a") as notes:
        notes.write(f"{os.getpid()}\n")
    return len(place.read_text().splitlines())


def times(values, factor):
    return values * factor


def start_child(folder: str) -> None:
    """Wait for a process that only waits, and says who it is."""
    code = f"import os, time; open({folder!r} + '/child', 'w').write(str(os.getpid())); time.sleep(60)"
    subprocess.run([sys.executable, "-c", code])


@oc.step
def double(values, folder):
    noted(folder, "double")
    return times(values, FACTOR)


@oc.step
def total(folder, *parts):
    noted(folder, "total")
    return float(sum(part.sum() for part in parts))


@oc.step
def describe(train: oc.Dataset, depth=3):
    return {"rows": len(train), "columns": train.columns, "words": dict(train.categories), "depth": depth}


@oc.step(retries=2)
def shaky(folder, fails):
    print("this is the step's own word")
    if noted(folder, "shaky") <= fails:
        raise OSError("the oven is cold")
    return "done"


@oc.step(timeout="3s")
def endless(folder):
    noted(folder, "endless")
    start_child(folder)


@oc.step
def waiting(folder):
    noted(folder, "waiting")
    start_child(folder)


@oc.step(memory="600MB")
def greedy():
    return len(np.ones(200_000_000))


@oc.step(cache=False)
def fresh(folder):
    return noted(folder, "fresh")


@oc.step
def unsure(folder):
    with LOCK:
        return noted(folder, "unsure")


@oc.step
def opaque():
    return lambda: 1


@oc.step
def meeting(folder, me, other):
    """Ends only if the other runs at the same time."""
    noted(folder, me)
    deadline = time.monotonic() + 30
    while not (Path(folder) / other).exists():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody came")
        time.sleep(0.01)
    return me


@oc.step
def dying():
    os.kill(os.getpid(), 9)


@oc.step
def fitted(train, depth):
    from lightgbm import LGBMRegressor

    print("fitting", len(train))
    return LGBMRegressor(n_estimators=10, max_depth=depth, n_jobs=1, verbose=-1).fit(train.X, train.y)


@oc.step
def scaled(train):
    return oc.Dataset(columns=train.columns, X=np.nan_to_num(train.X) * 1.0, y=train.y, times=train.times)
