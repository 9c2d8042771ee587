"""PyTorch's exported programs as archives that hold data alone.

`torch.export.load` does what a made-up archive asks for: it unpickles weights, constants and examples, has Python
evaluate symbolic sizes and guards, looks up operators by any dotted path and writes names into Python code. It is only
ever given what `settle` wrote: a new archive, of raw tensors and of one document in which each string is a plain
word, each operator is one of ATen's and each size is a formula of a few functions.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from octavo.errors import IntegrityError, MissingExtra

_PROGRAM = "models/model.json"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_TENSOR = re.compile(r"data/(weights/weight|constants/tensor)_\d+\Z")
_NEEDLESS = re.compile(
    r"(\.data/[a-z_]+|archive_format|archive_version|byteorder|version|data/sample_inputs/model\.pt)\Z"
)
_WRITTEN = {".data/version": b"6", "archive_format": b"pt2", "archive_version": b"0", "byteorder": b"little"}
_EXAMPLE = "data/sample_inputs/model.pt"
_DATE = (1980, 1, 1, 0, 0, 0)

_WORD = re.compile(r"[A-Za-z0-9_.]{0,256}\Z")
_OPERATOR = re.compile(r"(torch\.ops\.aten\.[a-z0-9_]+\.[A-Za-z0-9_]+|_operator\.(getitem|add|sub|mul|floordiv))\Z")
_SIZE = re.compile(
    r"(Symbol\('[su]\d+'(, (positive|nonnegative|integer)=True)*\)|Integer\(-?\d+\)|Add|Mul|FloorDiv|Mod|Max|Min"
    r"|[su]\d+|-?\d+|[(), ])+\Z"
)
_SIZES_LENGTH = 1_000
_FLOATS = {"Infinity", "-Infinity", "NaN"}
_CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict"}
_CONTEXTS = {None, "null", "[]"}
_FIX = "export the module again by torch.export, of PyTorch's own operators on one matrix and with its weights alone"


def settle(data: bytes) -> bytes:
    """An exported program in an archive that can be read without running code; the same one always as the same bytes.

    What only tells of its making (examples, stack traces, guards) is left out.

    Raises
    ------
    IntegrityError
        If the archive cannot be read, or holds anything but tensors and operators of PyTorch.
    """
    members = _members(data)
    try:
        program = json.loads(members[_PROGRAM])
        configs = [json.loads(members[name]) for name in _CONFIGS]
    except (KeyError, ValueError, RecursionError) as error:
        raise _refused(f"it lacks a readable {error}") from error
    _leave_out(program)
    for document in (program, *configs):
        _check(document)
    for config in configs:
        _check_raw(config)
    kept = dict(zip((_PROGRAM, *_CONFIGS), map(_encoded, (program, *configs)), strict=True))
    tensors = {name: content for name, content in members.items() if _TENSOR.match(name)}
    return _archive({**kept, **tensors, **_WRITTEN, _EXAMPLE: b""})


def read_program(data: bytes) -> Any:
    """The program of an archive, which is settled first.

    Raises
    ------
    IntegrityError
        As by `settle`, or if PyTorch cannot read it.
    MissingExtra
        If PyTorch is not installed.
    """
    settled = settle(data)
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "reading a PyTorch model") from error
    try:
        return torch.export.load(io.BytesIO(settled))
    except Exception as error:  # the bytes may be anything
        raise IntegrityError(f"PyTorch cannot read this exported program: {_first_line(error)}; {_FIX}") from error


def _members(data: bytes) -> dict[str, bytes]:
    """The files in an archive that are of any use, without the folder that all of them stand in."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        found = list(archive.infolist())
        packed = [one.filename for one in found if one.compress_type != zipfile.ZIP_STORED]
        content = {} if packed else {one.filename.partition("/")[2]: archive.read(one) for one in found}
    except (zipfile.BadZipFile, RuntimeError, EOFError, ValueError, OverflowError, OSError) as error:
        raise _refused(f"it is no archive ({error})") from error
    if packed:
        raise _refused(f"{packed[0]!r} in it is compressed, as PyTorch never does")
    known = (_PROGRAM, *_CONFIGS)
    if other := next((n for n in content if n not in known and not _TENSOR.match(n) and not _NEEDLESS.match(n)), None):
        raise _refused(f"{other!r} in it is neither a tensor nor a program")
    return content


def _leave_out(program: Any) -> None:
    """Empty what is of no use to a program, in place: guards, which are code, and what nodes say of their making."""
    if isinstance(program, dict):
        program["guards_code"] = []
        program["torch_version"] = ""
    for node in _documents(program):
        if "metadata" in node:
            node["metadata"] = {}


def _documents(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _documents(inner)


def _check(value: Any, *, key: str = "") -> None:
    """Refuse a document in which a string is anything but a word, an operator, a size or the shape of arguments."""
    match value:
        case dict():
            for name, inner in value.items():
                _check(name)
                _check(inner, key=name)
        case list():
            for inner in value:
                _check(inner, key=key)
        case str() if not _is_plain(value, key=key):
            raise _refused(f"it holds {value[:100]!r}, which is no tensor, operator or size")


def _is_plain(text: str, *, key: str) -> bool:
    if key == "target":
        return _OPERATOR.match(text) is not None
    if key == "expr_str":
        return len(text) <= _SIZES_LENGTH and _SIZE.match(text) is not None
    if key == "as_float":
        return text in _FLOATS
    if key in ("in_spec", "out_spec"):
        return _is_of_plain_containers(text)
    return _WORD.match(text) is not None


def _is_of_plain_containers(text: str) -> bool:
    """Whether what says how arguments are put together names only Python's own containers."""
    try:
        _, spec = json.loads(text)
        specs = [one for one in _documents(spec) if set(one) == {"type", "context", "children_spec"}]
        plain = all(one["type"] in _CONTAINERS and one["context"] in _CONTEXTS for one in specs)
    except (ValueError, TypeError, RecursionError):
        return False
    return plain and len(specs) == sum(1 for _ in _documents(spec))


def _check_raw(config: Any) -> None:
    """Refuse a list of tensors of which one is not kept as its numbers alone."""
    for entry in _documents(config):
        if entry.get("use_pickle") or not str(entry.get("path_name", "weight_")).startswith(("weight_", "tensor_")):
            raise _refused(f"{entry.get('path_name')!r} in it is a pickle, which may be code")


def _encoded(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def _archive(members: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as into:
        for name, content in sorted(members.items()):
            into.writestr(zipfile.ZipInfo(f"model/{name}", _DATE), content)
    return written.getvalue()


def _refused(reason: str) -> IntegrityError:
    return IntegrityError(f"this exported program of PyTorch is not read: {reason}; {_FIX}")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
