"""Signatures without keys of one's own: by the OpenSSF's tool, where it is installed beside Octavo.

Whoever signs so proves to an identity provider who they are, gets a certificate for some minutes, and has the signature
entered in a public log; so both sides need the internet, and the tool: ``pip install model-signing pyopenssl``.
"""

import subprocess
import sys
from pathlib import Path

from octavo.config import SigningSettings
from octavo.errors import ConfigurationError, IntegrityError, Unavailable

_TIMEOUT_S = 120.0
_REASON = 300


def sign(folder: Path) -> bytes:
    """Sign a model's folder with the identity that the environment has, as a job of a CI service has one.

    Raises
    ------
    ConfigurationError
        If the tool is not installed.
    Unavailable
        If there is no identity, or a service cannot be reached.
    """
    signature = folder.with_suffix(".sig")
    done = _run("sign", "sigstore", "--use_ambient_credentials", "--signature", str(signature), str(folder))
    if done.returncode or not signature.exists():
        raise Unavailable(f"nobody signed {folder.name} without a key: {_reason(done)}")
    return signature.read_bytes()


def verify(folder: Path, signature: bytes, settings: SigningSettings) -> str:
    """Whose signature it is.

    Raises
    ------
    ConfigurationError
        If the tool is not installed, or the settings do not say whom to believe.
    IntegrityError
        If it is not of that identity, or of another folder.
    """
    if not settings.identity or not settings.issuer:
        raise ConfigurationError(
            '[signing] identity and issuer must say whose signatures are believed where method = "sigstore"'
        )
    place = folder.with_suffix(".sig")
    place.write_bytes(signature)
    whom = ["--identity", settings.identity, "--identity_provider", settings.issuer]
    done = _run("verify", "sigstore", "--no-ignore-git-paths", "--signature", str(place), *whom, str(folder))
    if done.returncode:
        raise IntegrityError(f"the model signature of {folder.name} does not hold: {_reason(done)}")
    return settings.identity


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "model_signing", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"signing without a key took more than {_TIMEOUT_S:g} s") from error
    if done.returncode and "No module named" in done.stderr:
        raise ConfigurationError(
            "signatures without keys need the OpenSSF's tool beside Octavo: pip install model-signing pyopenssl; or "
            'set [signing] method = "key"'
        )
    return done


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    said = " ".join((done.stderr or done.stdout).split())
    return said[-_REASON:]
