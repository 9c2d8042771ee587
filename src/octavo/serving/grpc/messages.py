"""The messages of the protocols, made from the descriptors of their .proto files.

They stand in a pool of their own: another library in the process (a client of the same protocol, in tests) may know
messages of the same names from files of its own, which one pool would refuse. `messages.binpb` is made by::

    python -m grpc_tools.protoc --proto_path=. --descriptor_set_out=messages.binpb open_inference.proto health.proto
"""

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from octavo.errors import InvalidRequest

DESCRIPTORS = Path(__file__).with_name("messages.binpb")
SERVICE, HEALTH = "inference.GRPCInferenceService", "grpc.health.v1.Health"

_pool = DescriptorPool()
for _file in FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
    _pool.Add(_file)  # type: ignore[no-untyped-call]  # of protobuf


def _message(name: str) -> Any:
    """A message's class; it has no type of its own, for it is made from its description."""
    return GetMessageClass(_pool.FindMessageTypeByName(name))  # type: ignore[no-untyped-call]  # of protobuf


ServerLiveResponse = _message("inference.ServerLiveResponse")
ServerReadyResponse = _message("inference.ServerReadyResponse")
ServerMetadataResponse = _message("inference.ServerMetadataResponse")
ModelReadyRequest = _message("inference.ModelReadyRequest")
ModelReadyResponse = _message("inference.ModelReadyResponse")
ModelMetadataRequest = _message("inference.ModelMetadataRequest")
ModelMetadataResponse = _message("inference.ModelMetadataResponse")
ModelInferRequest = _message("inference.ModelInferRequest")
ModelInferResponse = _message("inference.ModelInferResponse")
RepositoryIndexRequest = _message("inference.RepositoryIndexRequest")
RepositoryIndexResponse = _message("inference.RepositoryIndexResponse")
HealthCheckRequest = _message("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse = _message("grpc.health.v1.HealthCheckResponse")


def parse(kind: Any, data: bytes) -> Any:
    """A message from its bytes.

    Raises
    ------
    InvalidRequest
        If they are none.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise InvalidRequest(
            f"the bytes are no {kind.DESCRIPTOR.full_name}",
            fix="send what a client made from open_inference.proto sends",
        ) from error
