"""Feast in an environment of its own, below the repository and ignored by git."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-feast"
REQUIREMENT = "feast[duckdb,redis]"


def feast_python() -> Path:
    """The interpreter of Feast's environment, which is made with the newest Feast if it is absent."""
    python = FOLDER / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv") or ROOT / ".tools" / "bin" / "uv"
        print(f"installing {REQUIREMENT} into {FOLDER} ...", file=sys.stderr)
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, FOLDER], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, REQUIREMENT], check=True)
    return python


def feast_version() -> str:
    probe = "from importlib.metadata import version as v; print('Feast', v('feast'), 'with DuckDB', v('duckdb'))"
    return subprocess.run([feast_python(), "-c", probe], capture_output=True, text=True, check=True).stdout.strip()
