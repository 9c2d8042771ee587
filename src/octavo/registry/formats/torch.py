"""PyTorch: kept as an exported program of data alone, compiled to ONNX; predictors never import it."""

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from octavo.definitions.models import Task
from octavo.errors import MissingExtra, TrainingFailed
from octavo.registry.formats import Outputs
from octavo.registry.formats.onnx import Onnx
from octavo.registry.formats.torch_programs import read_program, settle
from octavo.training.frames import Words
from octavo.training.onnx import OnnxEstimator
from octavo.training.torch import TorchEstimator, quiet

_FILE = "model.pt2"
_OPSET = 18
_REASON = 300


class Torch:
    """Any ``nn.Module`` of PyTorch's own operators that takes one matrix; `TorchEstimator` says what it answers."""

    name = "torch"
    serves = False

    def matches(self, estimator: Any) -> bool:
        return isinstance(estimator, TorchEstimator)

    def save(self, estimator: Any) -> dict[str, bytes]:
        import torch

        written = io.BytesIO()
        with quiet():
            torch.export.save(estimator.program, written)
        return {_FILE: settle(written.getvalue())}

    def load(self, files: Mapping[str, bytes], *, words: Words | None = None) -> Outputs:
        return TorchEstimator.of_program(read_program(files[_FILE])).predict

    def to_onnx(self, estimator: Any, *, n_inputs: int, task: Task, words: Words | None = None) -> bytes:
        exported = OnnxEstimator(_in_onnx(estimator.program))
        return Onnx().to_onnx(exported, n_inputs=n_inputs, task=task, words=words)

    def thresholds(self, estimator: Any) -> Iterable[tuple[int, float]]:
        return ()


def _in_onnx(program: Any) -> bytes:
    """A program in ONNX, without what PyTorch notes of its making."""
    import torch

    try:
        with quiet():
            exported: Any = torch.onnx.export(program, dynamo=True, opset_version=_OPSET, verbose=False)
            model = exported.model_proto
    except ImportError as error:
        raise MissingExtra("torch", "compiling PyTorch models to ONNX") from error
    except Exception as error:  # the exporter fails in any way on operators that it does not know
        reason = str(error.__cause__ or error).strip().partition("\n")[0][:_REASON]
        raise TrainingFailed(f"PyTorch cannot export this module to ONNX: {reason}; use other operators") from error
    for part in _parts(model.graph):
        del part.metadata_props[:]
    for part in (model, *model.functions):
        del part.metadata_props[:]
    return bytes(model.SerializeToString(deterministic=True))


def _parts(graph: Any) -> Iterator[Any]:
    """A graph, all that it is made of, and the graphs within its nodes."""
    yield from (graph, *graph.input, *graph.output, *graph.value_info, *graph.initializer, *graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _parts(inner)
