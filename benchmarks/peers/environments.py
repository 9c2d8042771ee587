"""Environments of the peers, one each since they do not agree on versions, below the repository and ignored by git."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".peers"


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made from its list of requirements if it is absent or older."""
    listed, folder = Path(__file__).with_name(f"{peer}.txt"), FOLDER / peer
    python, made = folder / "bin" / "python", folder / "made-from.txt"
    if not made.exists() or made.read_bytes() != listed.read_bytes():
        uv = shutil.which("uv") or ROOT / ".tools" / "bin" / "uv"
        print(f"installing {peer} and what it needs into {folder}, once ...", file=sys.stderr)
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "-r", listed], check=True)
        shutil.copyfile(listed, made)
    return python


def versions_of(peer: str) -> str:
    """The peer's own version and those of what it serves, as they are installed."""
    names = re.findall(r"^[a-z-]+", Path(__file__).with_name(f"{peer}.txt").read_text(encoding="utf-8"), re.MULTILINE)
    probe = f"from importlib.metadata import version as v; print(', '.join(f'{{n}} {{v(n)}}' for n in {names!r}))"
    ran = subprocess.run([python_of(peer), "-c", probe], capture_output=True, text=True, check=True)
    return ran.stdout.strip()
