"""What a run runs in: the state of its code, the installed distributions, the machine."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from octavo.training.runs import GitState

MOST_DIFF_BYTES = 5_000_000
_MOST_UNTRACKED = 100
_GIT_TIMEOUT_S = 10.0
_SEPARATORS = re.compile(r"[-_.]+")
_ALL_BUT_OURS = ("--", ":(top)", ":(top,exclude,glob)**/.octavo/**")
# Nothing that a repository's settings name is run.
_QUIET = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """As they were when a run began.

    Attributes
    ----------
    git : GitState or None
        Its `diff` is empty; None outside of a repository, or without the program ``git``.
    diff : bytes
        What differs from the commit.
    environment : str
        A line ``name==version`` for each distribution.
    """

    git: GitState | None = None
    diff: bytes = b""
    environment: str = ""
    hardware: Mapping[str, str] = field(default_factory=dict)


def surroundings(folder: Path) -> Surroundings:
    """What a process that runs in a folder has around it."""
    git, diff = git_state(folder)
    return Surroundings(git=git, diff=diff, environment=environment(), hardware=hardware())


@cache
def environment() -> str:
    """The installed distributions with their versions, in order of their names; found out once in a process."""
    found = ((one.metadata["Name"], one.version) for one in distributions())
    lines = {_SEPARATORS.sub("-", name).lower(): version for name, version in found if name}
    return "".join(f"{name}=={version}\n" for name, version in sorted(lines.items()))


@cache
def hardware() -> dict[str, str]:
    """The machine, as far as the standard library and Linux tell."""
    facts = {
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0),
        "cpu": _first("/proc/cpuinfo", r"model name\s*:\s*(.+)") or platform.processor(),
        "memory": _memory(),
    }
    return {name: value for name, value in facts.items() if value}


def git_state(folder: Path) -> tuple[GitState | None, bytes]:
    """The state of the working tree that a folder is in, and how it differs from its commit."""
    status = _git(folder, "status", "--porcelain=v1", "-z", "--untracked-files=all", *_ALL_BUT_OURS)
    if status is None:
        return None, b""
    entries = status.decode("utf-8", "replace").split("\0")
    untracked = [entry[3:] for entry in entries if entry.startswith("?? ")]
    commit = (_git(folder, "rev-parse", "--verify", "--quiet", "HEAD") or b"").decode("ascii", "replace").strip()
    branch = (_git(folder, "symbolic-ref", "--quiet", "--short", "HEAD") or b"").decode("utf-8", "replace").strip()
    dirty = any(entries)
    diff, notes = b"", []
    if dirty and commit:
        found = _git(folder, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", *_ALL_BUT_OURS)
        if found is None:
            notes.append("the difference from the commit could not be found out")
        elif len(found) > MOST_DIFF_BYTES:
            notes.append(f"the difference from the commit has {len(found):,} bytes; up to {MOST_DIFF_BYTES:,} are kept")
        else:
            diff = found
    if len(untracked) > _MOST_UNTRACKED:
        notes.append(f"{len(untracked):,} files are not in version control; {_MOST_UNTRACKED} are named")
    state = GitState(
        commit=commit, branch=branch, dirty=dirty, untracked=tuple(untracked[:_MOST_UNTRACKED]), note="; ".join(notes)
    )
    return state, diff


def source() -> str:
    """What this process was started with, as people would say it; without arguments, which may hold anything."""
    started = getattr(sys.modules.get("__main__"), "__file__", None)
    if started:
        return Path(started).name
    return "notebook" if "ipykernel" in sys.modules else "python"


def _git(folder: Path, *command: str) -> bytes | None:
    """What git says without writing anything; None if there is no git, no repository or no commit."""
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *_QUIET, *command], cwd=folder, env=quiet, capture_output=True, timeout=_GIT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _memory() -> str:
    kilobytes = _first("/proc/meminfo", r"MemTotal:\s*(\d+) kB")
    return f"{int(kilobytes) / 1_048_576:.1f} GiB" if kilobytes else ""


def _first(file: str, pattern: str) -> str:
    try:
        match = re.search(pattern, Path(file).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return match[1].strip() if match else ""
