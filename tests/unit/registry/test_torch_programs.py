"""Archives of PyTorch's programs are read only once they hold nothing that could run."""

import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.libraries import needed

from octavo.errors import IntegrityError
from octavo.registry.formats.torch_programs import read_program, settle

RUN: list[str] = []
CODE = "__import__('tests.unit.registry.test_torch_programs')"
SAVED = Path(__file__).parents[2] / "mlflow_directories" / "pytorch" / "data" / "model.pt2"


@cache
def exported() -> bytes:
    """A module that keeps a constant and adds up its columns, as PyTorch writes it."""
    torch = needed("torch")

    class Sum(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(3, 1)
            self.register_buffer("shift", torch.arange(3.0))

        def forward(self, rows: Any) -> Any:
            return self.line(torch.cat([rows, rows * 2]).reshape(-1, 3)[: rows.shape[0]] + self.shift)

    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = {0: torch.export.Dim("rows")}
        torch.export.save(torch.export.export(Sum(), (torch.zeros(2, 3),), dynamic_shapes=(rows,)), written)
    return written.getvalue()


def changed(member: str, change: Callable[[bytes], bytes], *, data: bytes | None = None) -> bytes:
    """An archive with one of its members changed."""
    archive, forged = zipfile.ZipFile(io.BytesIO(data or exported())), io.BytesIO()
    with zipfile.ZipFile(forged, "w") as into:
        for name in archive.namelist():
            content = archive.read(name)
            into.writestr(name, change(content) if name.endswith(member) else content)
    return forged.getvalue()


def with_program(change: Callable[[Any], None]) -> bytes:
    """An archive with its program changed."""

    def rewritten(content: bytes) -> bytes:
        program = json.loads(content)
        change(program)
        return json.dumps(program).encode()

    return changed("models/model.json", rewritten)


def nodes(program: Any) -> Any:
    return program["graph_module"]["graph"]["nodes"]


def test_a_settled_program_answers_as_it_did() -> None:
    torch = needed("torch")
    rows = torch.arange(12.0).reshape(4, 3)
    before = torch.export.load(io.BytesIO(exported())).module()(rows)
    assert torch.equal(read_program(settle(exported())).module()(rows), before)


def test_settling_is_always_the_same_bytes_and_settled_bytes_stay_as_they_are() -> None:
    assert settle(exported()) == settle(exported()) == settle(settle(exported()))


def test_a_program_that_mlflow_wrote_is_read() -> None:
    torch = needed("torch")
    assert read_program(SAVED.read_bytes()).module()(torch.ones(5, 4)).shape == (5, 1)


@pytest.mark.parametrize("target", ["torch.os.system", "_operator.methodcaller", "math.exp", "#f", "torch.ops.aten.x"])
def test_an_operator_that_is_none_of_pytorchs_is_refused(target: str) -> None:
    forged = with_program(lambda program: nodes(program)[0].update(target=target))
    with pytest.raises(IntegrityError, match=r"which is no tensor, operator or size; export the module again"):
        read_program(forged)


@pytest.mark.parametrize("size", [CODE, "Symbol.__init__", "Symbol('s1', positive=True) or exit()", "exec"])
def test_a_size_that_is_no_formula_is_refused(size: str) -> None:
    def forge(program: Any) -> None:
        values = program["graph_module"]["graph"]["tensor_values"]
        values["rows"]["sizes"][0]["as_expr"]["expr_str"] = size

    with pytest.raises(IntegrityError, match="is no tensor, operator or size"):
        read_program(with_program(forge))


def test_a_name_that_would_become_code_is_refused() -> None:
    forged = with_program(lambda program: nodes(program)[0].update(name=f"x={CODE}#"))
    with pytest.raises(IntegrityError, match="is no tensor, operator or size"):
        read_program(forged)


def test_a_shape_of_arguments_that_names_a_type_is_refused() -> None:
    spec = [1, {"type": "collections.defaultdict", "context": "{}", "children_spec": []}]

    def forge(program: Any) -> None:
        program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps(spec)

    with pytest.raises(IntegrityError, match="defaultdict"):
        read_program(with_program(forge))


def test_guards_which_are_code_are_left_out() -> None:
    forged = with_program(lambda program: program.update(guards_code=[CODE]))
    assert settle(forged) == settle(exported())


def test_what_a_node_tells_of_its_making_is_left_out() -> None:
    assert b"site-packages" in exported()
    assert b"site-packages" not in settle(exported())


def test_a_weight_that_is_a_pickle_is_refused() -> None:
    forged = changed("weights_config.json", lambda text: text.replace(b'"use_pickle": false', b'"use_pickle": true'))
    with pytest.raises(IntegrityError, match=r"'weight_0' in it is a pickle, which may be code"):
        read_program(forged)


def test_a_constant_that_is_an_object_is_refused() -> None:
    forged = changed("constants_config.json", lambda _: b'{"config": {"x": {"path_name": "opaque_obj_0"}}}')
    with pytest.raises(IntegrityError, match="'opaque_obj_0' in it is a pickle"):
        read_program(forged)


class Trap:
    """What appends to `RUN` when it is unpickled."""

    def __reduce__(self) -> Any:
        return RUN.append, ("run",)


def test_examples_which_pytorch_would_unpickle_are_left_out() -> None:
    assert read_program(changed("sample_inputs/model.pt", lambda _: pickle.dumps(Trap()))) is not None
    assert RUN == []


@pytest.mark.parametrize("name", ["model/data/aotinductor/model/x.so", "model/extra/x", "model/data/weights/model.pt"])
def test_a_file_of_another_kind_is_refused(name: str) -> None:
    forged = io.BytesIO(exported())
    with zipfile.ZipFile(forged, "a") as into:
        into.writestr(name, b"")
    with pytest.raises(IntegrityError, match="is neither a tensor nor a program"):
        read_program(forged.getvalue())


def test_a_compressed_member_is_refused() -> None:
    forged = io.BytesIO(exported())
    with zipfile.ZipFile(forged, "a", zipfile.ZIP_DEFLATED) as into:
        into.writestr("model/data/weights/weight_9", bytes(1_000_000))
    with pytest.raises(IntegrityError, match="is compressed"):
        read_program(forged.getvalue())


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_bytes_that_are_no_program_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="is not read"):
        read_program(data)


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_damaged_archive_is_read_or_refused_and_never_runs(place: float, value: int) -> None:
    data = bytearray(SAVED.read_bytes())
    data[int(place * len(data))] = value
    with suppress(IntegrityError):
        assert settle(bytes(data))
