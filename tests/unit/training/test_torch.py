"""Modules of PyTorch that a training function returns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.libraries import needed
from tests.workshop import declare, open_workshop

import octavo as oc
from octavo.errors import TrainingFailed
from octavo.registry.bundles import decode_manifest
from octavo.registry.packing import pack
from octavo.training.fit import TrainedModel, train
from octavo.training.torch import TorchEstimator, is_module

TWICE = {"features": [oc.request("items", oc.Float64)], "baseline": None}


def line(width: int) -> Any:
    """A module that triples the last of its columns."""
    torch = needed("torch")
    layer = torch.nn.Linear(width, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0] * (width - 1) + [3.0]]))
        layer.bias.zero_()
    return layer


def of_line(train: oc.Dataset) -> Any:
    return line(train.X.shape[1])


def trained(function: Callable[[oc.Dataset], Any], folder: Path, **settings: Any) -> TrainedModel:
    workshop = open_workshop(folder, declare(function, **settings))
    return train(workshop.context, workshop.model, as_of=workshop.now)


def test_a_module_is_trained_judged_and_packed(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(of_line, **TWICE))
    made = train(workshop.context, workshop.model, as_of=workshop.now)
    digest = pack(workshop.context, made).digest
    manifest = decode_manifest(workshop.context.stores.artifacts.get(digest), digest=digest)
    assert manifest.format == "torch"
    assert made.predictions.tolist() == (made.training_set.holdout.X[:, 0] * 3).tolist()


def test_a_module_that_answers_nan_for_missing_inputs_fails_with_the_number_of_rows(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"answered NaN or infinity for \d+ rows"):
        trained(of_line, tmp_path)


def test_a_module_is_set_to_evaluation() -> None:
    torch = needed("torch")
    module = torch.nn.Sequential(line(1), torch.nn.Dropout(0.5))
    estimator = TorchEstimator.of_module(module, n_inputs=1)
    assert estimator.predict(np.ones((64, 1))).tolist() == [3.0] * 64


@pytest.mark.parametrize("rows", [0, 1, 2, 8_193])
def test_any_number_of_rows_is_answered_in_their_order(rows: int) -> None:
    values = np.arange(rows, dtype=np.float64)[:, None]
    assert TorchEstimator.of_module(line(1), n_inputs=1).predict(values).tolist() == (values[:, 0] * 3).tolist()


def test_the_rows_that_are_asked_stay_as_they_are() -> None:
    torch = needed("torch")

    class Careless(torch.nn.Module):
        def forward(self, rows: Any) -> Any:
            return rows.mul_(2)[:, 0]

    asked = np.ones((3, 1), dtype=np.float32)
    assert TorchEstimator.of_module(Careless(), n_inputs=1).predict(asked).tolist() == [2.0] * 3
    assert asked.tolist() == [[1.0]] * 3


def test_a_program_of_two_matrices_is_refused() -> None:
    torch = needed("torch")

    class Sum(torch.nn.Module):
        def forward(self, left: Any, right: Any) -> Any:
            return left + right

    program = torch.export.export(Sum(), (torch.zeros(2, 1), torch.zeros(2, 1)))
    with pytest.raises(TrainingFailed, match="takes 2 inputs; it must take one matrix"):
        assert TorchEstimator.of_program(program).program


@pytest.mark.parametrize("name", ["Dropout", "BatchNorm1d"])
def test_a_program_that_was_exported_in_training_is_refused(name: str) -> None:
    torch = needed("torch")
    module = torch.nn.Sequential(getattr(torch.nn, name)(1), line(1)).train()
    program = torch.export.export(module, (torch.zeros(2, 1),))
    with pytest.raises(TrainingFailed, match=r"call module\.eval\(\) before it is exported or saved"):
        TorchEstimator.of_program(program)


def test_only_modules_of_pytorch_are_modules() -> None:
    assert is_module(line(1))
    assert not is_module(object())
