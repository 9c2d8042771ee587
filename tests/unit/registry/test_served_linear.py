"""Linear models as sums, from the training function to a predictor that has nothing else."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.unit.registry.test_served_categories import asked, declared, expected, sklearn
from tests.unit.registry.test_served_formats import served
from tests.workshop import declare, open_workshop

import octavo as oc
from octavo.errors import IntegrityError
from octavo.registry.bundles import Bundle, fetch_bundle
from octavo.registry.formats.linear import Category, Linear, Number, write_linear
from octavo.registry.formats.tiers import FormatTier, tier_of
from octavo.registry.forms import Form, Forms, alone, decode_forms, encode_forms
from octavo.registry.packing import Packed, pack
from octavo.registry.served import open_judged, open_served
from octavo.serving.models import load_model
from octavo.training.fit import TrainedModel, train

FILE = "model/linear.json"


def indicated(train: oc.Dataset) -> Any:
    """What skl2onnx loses the indicator of."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(add_indicator=True), Ridge()).fit(train.X, train.y)


def multiplied(train: oc.Dataset) -> Any:
    """Of each input a line, where the others are zero."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    products = PolynomialFeatures(interaction_only=True)
    return make_pipeline(SimpleImputer(strategy="constant", fill_value=1.0), products, Ridge()).fit(train.X, train.y)


def packed(model: Any, folder: Path) -> tuple[TrainedModel, Packed, Bundle]:
    workshop = open_workshop(folder, model)
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    kept = pack(workshop.context, trained)
    return trained, kept, fetch_bundle(workshop.context.stores.artifacts, kept.digest, into=folder / "bundles")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return packed(declared(sklearn), tmp_path_factory.mktemp("shops"))[2]


def forms_of(bundle: Bundle) -> Forms:
    return decode_forms(bundle.read("serving.json"))


def with_files(bundle: Bundle, **files: bytes) -> Bundle:
    """The bundle as if it had been packed with other files."""
    return replace(bundle, files={**bundle.files, **files})


def test_a_linear_model_is_served_by_its_sum_alone_and_judged_compiled(bundle: Bundle) -> None:
    assert forms_of(bundle).words == "linear"
    assert {FILE, "model/model.onnx", "model/model.skops"} <= set(bundle.manifest.files)
    assert {one.form for one in forms_of(bundle).measured} == {Form.COMPILED, Form.NATIVE, Form.LINEAR}
    assert tier_of(bundle.manifest, forms_of(bundle)) is FormatTier.DATA
    outputs = load_model(bundle).run(bundle.golden.rows)
    assert outputs == pytest.approx(bundle.golden.expected, rel=1e-9)
    judged = open_judged(bundle.manifest, bundle.plan, read=bundle.read)(bundle.golden.rows)
    assert judged == pytest.approx(outputs, rel=1e-4)
    assert judged.tolist() != outputs.tolist()


def test_a_predictor_answers_by_it(tmp_path: Path) -> None:
    trained, bench = served(declared(sklearn), tmp_path)
    for word, place in (("north", 1.0), ("unheard of", -1.0), (None, np.nan)):
        assert asked(bench, items=4.0, shop=word) == pytest.approx(expected(trained, items=4.0, place=place), rel=1e-9)


def test_what_is_compiled_wrongly_is_served_and_judged_by_its_sum(tmp_path: Path) -> None:
    trained, kept, bundle = packed(declare(indicated), tmp_path)
    assert "model/model.onnx" not in bundle.manifest.files
    assert "is not the model that was trained" in forms_of(bundle).uncompiled
    assert forms_of(bundle).used == (Form.LINEAR,)
    assert kept.predictions == pytest.approx(trained.predictions, rel=1e-9)
    judged = open_judged(bundle.manifest, bundle.plan, read=bundle.read)
    assert judged(bundle.golden.rows).tolist() == load_model(bundle).run(bundle.golden.rows).tolist()


def test_a_model_of_products_is_no_sum(tmp_path: Path) -> None:
    _, _, bundle = packed(declare(multiplied), tmp_path)
    assert FILE not in bundle.manifest.files
    assert Form.LINEAR not in {one.form for one in forms_of(bundle).measured}


@pytest.mark.parametrize("form", [Form.COMPILED, Form.NATIVE])
def test_a_bundle_that_does_not_name_it_is_served_as_before(bundle: Bundle, form: Form) -> None:
    other = with_files(bundle, **{"serving.json": encode_forms(alone(form)), FILE: b"never read"})
    assert open_served(other.manifest, other.plan, read=other.read).forms.used == (form,)
    load_model(other)


def test_a_bundle_that_lacks_the_file_is_refused(bundle: Bundle) -> None:
    files = {name: file for name, file in bundle.manifest.files.items() if name != FILE}
    lacking = replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, files=files))
    with pytest.raises(IntegrityError, match=r"lacks linear\.json, by which it says it is served; pack it again"):
        load_model(lacking)


def narrower(model: Linear) -> Linear:
    return msgspec.structs.replace(model, columns=model.columns[:1])


def changed(change: Callable[[Any], Any], model: Linear) -> Linear:
    return msgspec.structs.replace(model, columns=tuple(map(change, model.columns)))


def of_fewer_words(column: Number | Category) -> Number | Category:
    return msgspec.structs.replace(column, words=column.words[:1]) if isinstance(column, Category) else column


def without_words(column: Number | Category) -> Number | Category:
    return Number(weight=0.0, missing=0.0) if isinstance(column, Category) else column


def huge(column: Number | Category) -> Number | Category:
    return msgspec.structs.replace(column, weight=1e308) if isinstance(column, Number) else column


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (narrower, "the linear model takes 1 columns, not 2"),
        (partial(changed, of_fewer_words), "golden row"),
        (partial(changed, without_words), "golden row"),
        (partial(changed, huge), "golden row"),
    ],
)
def test_weights_of_another_model_are_refused(bundle: Bundle, change: Callable[[Linear], Linear], why: str) -> None:
    model = msgspec.json.decode(bundle.read(FILE), type=Linear)
    load_model(with_files(bundle, **{FILE: write_linear(model)}))
    with pytest.raises(IntegrityError, match=why):
        load_model(with_files(bundle, **{FILE: write_linear(change(model))}))


def test_a_file_that_is_none_is_refused(bundle: Bundle) -> None:
    with pytest.raises(IntegrityError, match=r"bundle sha256:.*: the file of a linear model cannot be read"):
        load_model(with_files(bundle, **{FILE: b'{"link": "identity", "start": NaN, "columns": []}'}))
