"""The messages are the protocols', number by number, and what is checked in is what their descriptions give."""

import subprocess
import sys
from pathlib import Path

import pytest
from tritonclient.grpc import service_pb2

from octavo.errors import InvalidRequest
from octavo.serving.grpc import messages

OURS = messages.ModelInferRequest.DESCRIPTOR.file
THEIRS = service_pb2.DESCRIPTOR
SOURCES = ("open_inference.proto", "health.proto")


def fields(message: object) -> set[tuple[object, ...]]:
    """Name, number, type and repetition of a message's fields, and of those inside."""
    found = {(one.name, one.number, one.type, one.is_repeated) for one in message.fields}  # type: ignore[attr-defined]
    for inner in message.nested_types:  # type: ignore[attr-defined]
        found |= {(inner.name, *field) for field in fields(inner)}
    return found


@pytest.mark.parametrize("name", sorted(OURS.message_types_by_name))
def test_a_message_has_the_fields_that_an_independent_client_knows(name: str) -> None:
    assert fields(OURS.message_types_by_name[name]) <= fields(THEIRS.message_types_by_name[name])


def test_a_request_and_an_answer_have_all_fields_that_an_independent_client_knows() -> None:
    for name in ("ModelInferRequest", "ModelInferResponse", "InferTensorContents", "InferParameter"):
        assert fields(OURS.message_types_by_name[name]) == fields(THEIRS.message_types_by_name[name])


def test_a_client_of_the_same_protocol_in_the_same_process_is_no_trouble() -> None:
    ours = messages.ModelInferRequest(model_name="eta", inputs=[{"name": "x", "shape": [1, 2]}])
    assert service_pb2.ModelInferRequest.FromString(ours.SerializeToString()).inputs[0].shape == [1, 2]


def test_the_descriptors_are_made_of_the_sources(tmp_path: Path) -> None:
    folder = messages.DESCRIPTORS.parent
    made = tmp_path / "made.binpb"
    command = ["-m", "grpc_tools.protoc", f"--proto_path={folder}", f"--descriptor_set_out={made}", *SOURCES]
    subprocess.run([sys.executable, *command], check=True)
    assert made.read_bytes() == messages.DESCRIPTORS.read_bytes()


def test_bytes_that_are_no_message_are_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match=r"no inference\.ModelInferRequest") as refused:
        messages.parse(messages.ModelInferRequest, b"\x0a\xff")
    assert "open_inference.proto" in str(refused.value.fix)
