"""What a pickle says it would import, read without running it: a tripwire for reviewers, never a wall.

A pickle can hide from any such reading, so what is found here is evidence beside a person's word, and what could not be
read to its end is not clean.
"""

import pickletools
from collections.abc import Iterator

import msgspec

_DANGEROUS = frozenset(
    {
        "asyncio", "bdb", "builtins", "cloudpickle", "code", "codeop", "commands", "ctypes", "dill", "ftplib",
        "functools", "httplib", "importlib", "joblib", "marshal", "multiprocessing", "nt", "operator", "os",
        "pathlib", "pdb", "pickle", "pip", "pkgutil", "posix", "posixpath", "pty", "pydoc", "requests", "runpy",
        "shelve", "shutil", "smtplib", "socket", "ssl", "subprocess", "sys", "tempfile", "timeit", "trace", "types",
        "urllib", "webbrowser", "zipimport",
    }
)  # fmt: skip
_HARMLESS = frozenset(f"builtins.{name}" for name in ("complex", "dict", "frozenset", "list", "set", "slice", "tuple"))
_MOST_NAMES = 1_000


class Scan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was found.

    Attributes
    ----------
    status : {"read", "skipped"}
        ``skipped`` if it was not understood to its end.
    imports : tuple of str
        What it would import: ``sklearn.linear_model._base.LinearRegression``.
    findings : tuple of str
        Those that no model needs.
    reason : str
        Why it was skipped.
    """

    status: str
    imports: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    reason: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether it was read to its end, and nothing was found."""
        return self.status == "read" and not self.findings

    @property
    def words(self) -> str:
        """For people."""
        if self.status != "read":
            return f"not read to its end, so not clean: {self.reason}"
        return f"found {', '.join(self.findings)}" if self.findings else f"nothing found in {len(self.imports)} imports"


def scan(data: bytes) -> Scan:
    """Read a pickle's instructions without following them."""
    names: dict[str, None] = {}
    try:
        for name in _imports(data):
            names[name] = None
            if len(names) > _MOST_NAMES:
                raise ValueError(f"more than {_MOST_NAMES:,} imports")
    except Exception as error:  # the bytes may be anything, and the reader fails on them in as many ways
        return Scan(
            status="skipped",
            imports=tuple(names),
            findings=_findings(names),
            reason=f"{type(error).__name__}: {error}"[:300],
        )
    return Scan(status="read", imports=tuple(names), findings=_findings(names))


def encode_scan(found: Scan) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(found, order="deterministic")


def decode_scan(data: bytes) -> Scan:
    """What `encode_scan` wrote."""
    return msgspec.json.decode(data, type=Scan)


def _imports(data: bytes) -> Iterator[str]:
    strings: list[str] = []
    memo: list[str] = []
    end = 0
    for opcode, argument, position in pickletools.genops(data):
        end = position or 0
        if opcode.name in ("GLOBAL", "INST"):
            yield ".".join(str(argument).split(" ", 1))
        elif opcode.name == "STACK_GLOBAL":
            yield ".".join(strings[-2:]) if len(strings) > 1 else "?"
        elif opcode.name in ("EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"):
            yield f"?.{opcode.name.lower()}"
        elif "UNICODE" in opcode.name or "STRING" in opcode.name:
            strings.append(str(argument))
        if opcode.name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            memo.append(strings[-1] if strings else "")
        elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            place = int(str(argument))
            strings.append(memo[place] if place < len(memo) else "?")
    if end + 1 != len(data):
        raise ValueError(f"{len(data) - end - 1:,} bytes after its end")


def _findings(names: dict[str, None]) -> tuple[str, ...]:
    return tuple(
        name
        for name in names
        if (name.partition(".")[0] in _DANGEROUS and name not in _HARMLESS) or name.startswith("?")
    )
