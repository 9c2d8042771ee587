"""Model directories that MLflow wrote become versions, judged like trained ones, or are refused with the reason."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.libraries import needed
from tests.mlflow_directories.reading import directory
from tests.workshop import Workshop, boosted, declare, open_workshop

import octavo as oc
from octavo.errors import IntegrityError, InvalidRequest, LimitExceeded, OctavoError, TrainingFailed
from octavo.features.datasets.training_sets import build_training_set
from octavo.loop.imports import ImportModel, import_model
from octavo.loop.operations import TrainedVersion
from octavo.registry.bundles import Bundle, fetch_bundle
from octavo.registry.champions import bring_in
from octavo.registry.formats import mlflow
from octavo.registry.formats.mlflow import parse_directory, read_directory
from octavo.registry.provenance import provenance_in
from octavo.registry.registration import verify_version
from octavo.training.runs import Run
from octavo.wiring import all_operations

COLUMNS = ["takings__spent_mean_24h", "takings__events_count_24h", "takings__spent_latest", "items"]
FLAVOURS = {"sklearn": "sklearn", "lightgbm": "lightgbm", "booster": "lightgbm", "xgboost": "xgboost"}
FLAVOURS |= {"catboost": "catboost", "onnx": "onnx", "pytorch": "torch"}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return open_workshop(tmp_path, declare(boosted, gates=[oc.better_than_baseline("mae"), oc.at_most("mae", 6)]))


def made(workshop: Workshop, files: dict[str, bytes]) -> TrainedVersion:
    return import_model(ImportModel(model=workshop.model.name, files=files), workshop.context)


def bundle_of(workshop: Workshop, imported: TrainedVersion) -> Bundle:
    artifacts, home = workshop.context.stores.artifacts, workshop.context.config.home
    return fetch_bundle(artifacts, imported.version.digest, into=home / "bundles")


def changed(name: str, change: Callable[[dict[str, Any]], Any]) -> dict[str, bytes]:
    """A directory with its MLmodel changed."""
    files = directory(name)
    document = yaml.safe_load(files["MLmodel"])
    change(document)
    return files | {"MLmodel": yaml.safe_dump(document).encode()}


def with_columns(*columns: str) -> dict[str, bytes]:
    inputs = [{"type": "double", "name": name, "required": True} for name in columns]
    return changed("booster", lambda document: document["signature"].update(inputs=json.dumps(inputs)))


def refused(workshop: Workshop, files: dict[str, bytes], match: str, error: type[OctavoError] = InvalidRequest) -> None:
    with pytest.raises(error, match=match):
        made(workshop, files)
    with workshop.context.stores.metadata.transaction() as tx:
        assert not [run for run in tx.find(Run) if run.version is not None]


@pytest.mark.parametrize("name", FLAVOURS)
def test_a_directory_of_each_flavour_becomes_a_version_that_passes_its_gates(name: str, workshop: Workshop) -> None:
    if name == "pytorch":
        needed("torch")
    imported = made(workshop, directory(name))
    assert imported.version.passed
    assert bundle_of(workshop, imported).manifest.format == FLAVOURS[name]
    assert verify_version(workshop.context, imported.version) == ""


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost", "onnx"])
def test_a_version_answers_as_the_library_itself_does(name: str, workshop: Workshop) -> None:
    golden = bundle_of(workshop, made(workshop, directory(name))).golden
    assert golden.expected == pytest.approx(OWN_ANSWERS[name](golden.rows.astype(np.float64)), rel=1e-4)


def test_the_provenance_and_the_card_say_where_it_was_made(workshop: Workshop) -> None:
    imported = made(workshop, directory("booster"))
    origin = provenance_in(workshop.context.stores.artifacts, imported.version.digest).origin
    assert origin is not None
    assert origin.made_by == "MLflow 3.17.2, flavour lightgbm"
    assert origin.made_at is not None
    assert imported.run.trigger == "import (MLflow 3.17.2, flavour lightgbm)"
    assert f"Fitted elsewhere: {origin.made_by}" in bundle_of(workshop, imported).card


def test_the_same_directory_has_the_same_digest_and_another_has_another(workshop: Workshop) -> None:
    artifacts = workshop.context.stores.artifacts
    found = [
        provenance_in(artifacts, made(workshop, directory(name)).version.digest).origin
        for name in ("booster", "booster", "xgboost")
    ]
    digests = [origin.digest for origin in found if origin]
    assert digests[0] == digests[1] != digests[2]


def test_held_out_rows_that_are_older_than_the_model_count_as_seen(workshop: Workshop) -> None:
    at = (workshop.now - timedelta(days=2)).replace(tzinfo=None)
    imported = made(workshop, changed("booster", lambda document: document.update(utc_time_created=str(at))))
    seen = provenance_in(workshop.context.stores.artifacts, imported.version.digest).seen
    assert imported.version.trained_until == at.replace(tzinfo=UTC)
    assert any(f"may have learned from {seen:,} of the" in warning for warning in imported.warnings)
    assert 0 < seen < 375


def test_a_model_that_was_made_before_the_held_out_stretch_has_seen_none_of_it(workshop: Workshop) -> None:
    imported = made(workshop, directory("booster"))
    assert provenance_in(workshop.context.stores.artifacts, imported.version.digest).seen == 0
    assert imported.warnings == ()


def test_a_model_that_does_not_say_when_it_was_made_may_have_seen_all(workshop: Workshop) -> None:
    imported = made(workshop, changed("booster", lambda document: document.pop("utc_time_created")))
    assert imported.version.trained_until == workshop.now


def test_pickles_are_refused_by_name_with_what_to_do_instead(workshop: Workshop) -> None:
    refused(workshop, directory("pickled"), r"as a cloudpickle.*serialization_format='skops' \(MLflow 3\), or train it")


def test_a_pickled_module_is_refused_with_what_to_do_instead(workshop: Workshop) -> None:
    files = {"MLmodel": directory("pytorch")["MLmodel"], "data/model.pth": b"", "data/pickle_module_info.txt": b""}
    refused(workshop, files, "serialization_format='pt2'")


def test_an_estimator_of_a_type_that_is_not_trusted_is_refused_whatever_its_directory_trusts(
    workshop: Workshop,
) -> None:
    files = directory("sklearn") | {"model.skops": directory("lightgbm")["model.skops"]}
    refused(workshop, files, r"lightgbm", IntegrityError)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ([*COLUMNS, "age"], "takes age, which 'boosted' does not have; its inputs are takings__spent_mean_24h, "),
        (COLUMNS[:3], "does not take items, which 'boosted' has"),
        (COLUMNS[::-1], "in another order than 'boosted'; train it on columns in the order takings__spent_mean_24h, "),
    ],
)
def test_columns_that_are_not_the_models_inputs_are_refused(workshop: Workshop, columns: list[str], match: str) -> None:
    refused(workshop, with_columns(*columns), match)


def test_a_matrix_of_another_width_is_refused(workshop: Workshop) -> None:
    tensor = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 7]}}])
    files = changed("booster", lambda document: document["signature"].update(inputs=tensor))
    refused(workshop, files, "takes 7 columns, but 'boosted' has 4 inputs")


def test_a_directory_without_a_signature_is_refused_with_how_to_save_it(workshop: Workshop) -> None:
    refused(workshop, changed("booster", lambda document: document.pop("signature")), r"infer_signature\(X, y\)")


def test_a_flavour_that_is_not_known_is_refused_with_the_known_ones(workshop: Workshop) -> None:
    files = changed("booster", lambda document: document.update(flavors={"spark": {}, "python_function": {}}))
    refused(workshop, files, "of flavour spark; taken are: lightgbm, xgboost, catboost, sklearn, onnx, pytorch")


@pytest.mark.parametrize("name", ["booster", "xgboost", "catboost"])
def test_a_file_that_is_not_what_its_mlmodel_says_is_refused(name: str, workshop: Workshop) -> None:
    files = {path: data if path == "MLmodel" else b"\x80\x04." for path, data in directory(name).items()}
    refused(workshop, files, "cannot be read as one of a regression label")


def test_a_file_that_is_no_onnx_is_refused(workshop: Workshop) -> None:
    refused(workshop, directory("onnx") | {"model.onnx": b"\x80\x04."}, "cannot be loaded", TrainingFailed)


def test_a_file_that_is_not_there_is_refused(workshop: Workshop) -> None:
    refused(workshop, {"MLmodel": directory("booster")["MLmodel"]}, "lacks 'model.lgb', which its MLmodel names")


@pytest.mark.parametrize(
    "text", [b"", b"- 1", b"flavors: 3", b"a: !!python/object/apply:os.system [x]", b"a: [", b"\xff"]
)
def test_an_mlmodel_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"MLmodel|MLflow"):
        parse_directory({"MLmodel": text})


def test_a_failed_import_leaves_a_run_that_says_why(workshop: Workshop) -> None:
    with pytest.raises(TrainingFailed, match="answered NaN or infinity for"):
        made(workshop, directory("onnx") | {"model.onnx": root_of_a_negative()})
    with workshop.context.stores.metadata.transaction() as tx:
        assert [run.status for run in tx.find(Run)] == ["failed"]


def test_weights_of_onnx_in_files_beside_it_are_taken_in(workshop: Workshop) -> None:
    assert made(workshop, with_weights_beside()).version.passed


def test_weights_of_onnx_outside_of_the_directory_are_refused(workshop: Workshop) -> None:
    refused(workshop, with_weights_beside(location="../weights"), r"lacks '\.\./weights'")


def test_a_model_with_categories_is_not_imported(tmp_path: Path) -> None:
    features = [oc.request("items", oc.Float64), oc.request("shop", oc.Category)]
    workshop = open_workshop(tmp_path, declare(boosted, features=features, baseline=None))
    refused(workshop, directory("booster"), r"takes categories \(shop\).*train it here")


def test_a_model_of_a_number_is_no_classifier(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(boosted, above=20.0, baseline=None))
    refused(workshop, directory("xgboost"), "cannot be read as one of a binary label")


def test_an_imported_champion_says_how_much_it_may_have_learned(workshop: Workshop) -> None:
    at = str((workshop.now - timedelta(days=2)).replace(tzinfo=None))
    champion = made(workshop, changed("booster", lambda document: document.update(utc_time_created=at))).version
    rows = build_training_set(workshop.context.stores.tables, workshop.model, as_of=workshop.now).holdout
    beside = bring_in(workshop.context.stores.artifacts, champion, rows, task=workshop.model.task)
    assert 0 < beside.learned < len(rows)


def test_no_server_offers_it() -> None:
    assert "models.train" in {operation.name for operation in all_operations()}
    assert "models.import" not in {operation.name for operation in all_operations()}


def test_a_folder_without_an_mlmodel_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="holds no file MLmodel; name the folder that save_model wrote"):
        read_directory(tmp_path)


def test_links_are_passed_over(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[2] / "mlflow_directories" / "booster", tmp_path / "booster")
    (tmp_path / "booster" / "secret").symlink_to(__file__)
    assert set(read_directory(tmp_path / "booster")) == {"MLmodel", "model.lgb"}


def test_a_directory_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "_MOST_BYTES", 10)
    (tmp_path / "MLmodel").write_bytes(bytes(11))
    with pytest.raises(LimitExceeded, match="holds 11 bytes; a model may have 10"):
        read_directory(tmp_path)


def onnx_of(nodes: list[Any], *constants: Any) -> Any:
    """A model from X, the four inputs, to y."""
    from onnx import TensorProto, helper

    takes = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 4])
    gives = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(nodes, "made", [takes], [gives], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def root_of_a_negative() -> bytes:
    from onnx import TensorProto, helper

    items = helper.make_tensor("place", TensorProto.INT64, [1], [3])
    nodes = [
        helper.make_node("Gather", ["X", "place"], ["items"], axis=1),
        helper.make_node("Neg", ["items"], ["less"]),
    ]
    return bytes(onnx_of([*nodes, helper.make_node("Sqrt", ["less"], ["y"])], items).SerializeToString())


def with_weights_beside(*, location: str = "weights.bin") -> dict[str, bytes]:
    """A directory whose ONNX has its weights in a file of their own, as MLflow keeps large ones."""
    from onnx import TensorProto, external_data_helper, helper

    place = helper.make_tensor("place", TensorProto.INT64, [1], [3])
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [1, 1], np.array([3.0], np.float32).tobytes(), raw=True)
    external_data_helper.set_external_data(weights, location, offset=8, length=4)
    content = b"padding." + weights.raw_data
    weights.ClearField("raw_data")
    nodes = [helper.make_node("Gather", ["X", "place"], ["items"], axis=1)]
    model = onnx_of([*nodes, helper.make_node("MatMul", ["items", "weights"], ["y"])], place, weights)
    return directory("onnx") | {"model.onnx": bytes(model.SerializeToString()), "weights.bin": content}


def _by_lightgbm(rows: Any) -> Any:
    from lightgbm import Booster

    return Booster(model_str=directory("booster")["model.lgb"].decode()).predict(rows)


def _by_xgboost(rows: Any) -> Any:
    from xgboost import Booster

    booster = Booster()
    booster.load_model(bytearray(directory("xgboost")["model.ubj"]))
    return booster.inplace_predict(rows, validate_features=False)


def _by_catboost(rows: Any) -> Any:
    from catboost import CatBoostRegressor

    return CatBoostRegressor().load_model(blob=directory("catboost")["model.cb"]).predict(rows)


def _by_onnx(rows: Any) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(directory("onnx")["model.onnx"], providers=["CPUExecutionProvider"])
    return session.run(None, {"X": rows.astype(np.float32)})[0].reshape(-1)


OWN_ANSWERS = {"lightgbm": _by_lightgbm, "xgboost": _by_xgboost, "catboost": _by_catboost, "onnx": _by_onnx}
