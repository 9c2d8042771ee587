"""Partitioned models from the bundle to an answer: parts as files, proven each, routed by the word of the request."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.serving.bundles import PROJECT
from tests.serving.predictors import PATH, make_bench
from tests.unit.registry.test_served_categories import catboost, lightgbm
from tests.unit.registry.test_served_formats import copy_bundle
from tests.unit.training.test_partitions import PRICES, declared, line
from tests.workshop import Workshop, open_workshop

import octavo as oc
from octavo.errors import IntegrityError, TrainingFailed
from octavo.registry.bundles import Bundle, fetch_bundle
from octavo.registry.card_documents import decode_card
from octavo.registry.formats.tiers import FormatTier, tier_of
from octavo.registry.forms import COMPILED_ALONE, Form, FormChoice, Forms
from octavo.registry.packing import pack
from octavo.registry.parts import Parts, decode_parts, encode_parts
from octavo.registry.served import PartitionedModel, open_judged, open_served
from octavo.registry.wholes import native_files
from octavo.release.manifests import Arm
from octavo.serving.models import load_model
from octavo.training.estimators import predict
from octavo.training.fit import TrainedModel, train
from octavo.training.frames import words_of
from octavo.training.routing import Partitioned

WORDS = ("east", "north", "south", "unheard of", None)
ROWS = np.array([[4.0, place] for place in (0.0, 1.0, 2.0, -1.0, np.nan)], dtype=np.float32)


def poor(library: Callable[[oc.Dataset], Any]) -> Callable[[oc.Dataset], Any]:
    """A library's model that, of several shops, learns from the few first rows alone: the parts are better."""

    def poorly(train: oc.Dataset) -> Any:
        if train.X["shop"].nunique() == 1:
            return library(train)
        few = np.arange(0, 60)
        return library(replace(train, X=train.X.iloc[few], y=train.y[few], times=train.times[few]))

    return poorly


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return open_workshop(tmp_path, declared(line), prices=PRICES)


def trained_in(workshop: Workshop) -> TrainedModel:
    return train(workshop.context, workshop.model, as_of=workshop.now)


def packed(workshop: Workshop, trained: TrainedModel) -> Bundle:
    context = replace(workshop.context, project=replace(workshop.context.project, name=PROJECT))
    digest = pack(context, trained, timer=partial(next, count())).digest
    return fetch_bundle(workshop.context.stores.artifacts, digest, into=workshop.context.config.home / "bundles")


def native(trained: TrainedModel, rows: np.ndarray[Any, np.dtype[np.float32]] = ROWS) -> list[float]:
    words = words_of(("items", "shop"), trained.training_set.train.categories)
    return predict(trained.estimator, rows.astype(float), task=trained.model.task, words=words).tolist()


def parts_of(bundle: Bundle) -> Parts:
    return decode_parts(bundle.read("parts.json"))


def with_parts(bundle: Bundle, parts: Parts) -> Bundle:
    """The bundle as if it had been packed with other parts."""
    return replace(bundle, files={**bundle.files, "parts.json": encode_parts(parts)})


def test_the_bundle_holds_each_part_in_its_forms(workshop: Workshop) -> None:
    bundle = packed(workshop, trained_in(workshop))
    found = parts_of(bundle)
    assert (found.by, {part.word for part in found.parts}) == ("shop", {"east", "north", "south"})
    for part in found.parts:
        assert {f"{part.folder}model.skops", f"{part.folder}model.onnx"} <= set(bundle.manifest.files)


def test_forms_are_measured_for_the_parent_and_the_part_with_most_rows(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    first, *others = parts_of(packed(workshop, trained)).parts
    assert trained.report.partition is not None
    assert first.word == trained.report.partition.parts[0].word
    assert first.forms.measured
    assert not any(part.forms.measured for part in others)
    assert {part.forms.forms for part in others} == {first.forms.forms}


def test_golden_rows_are_answered_by_the_parent_and_by_each_part(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    golden = packed(workshop, trained).golden
    assert {0.0, 1.0, 2.0, -1.0} <= set(golden.rows[:, 1].tolist())
    assert golden.expected.tolist() == native(trained, golden.rows)


def test_packing_the_same_again_gives_the_same_digest(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    assert packed(workshop, trained).digest == packed(workshop, trained).digest


@pytest.mark.parametrize("library", [lightgbm, catboost])
def test_a_word_is_answered_by_its_part_and_any_other_by_the_parent(
    library: Callable[[oc.Dataset], Any], tmp_path: Path
) -> None:
    workshop = open_workshop(tmp_path, declared(poor(library)), prices=PRICES)
    trained = trained_in(workshop)
    assert isinstance(trained.estimator, Partitioned)
    bundle = packed(workshop, trained)
    assert load_model(bundle).run(ROWS).tolist() == pytest.approx(native(trained), rel=1e-4)
    assert open_judged(bundle.manifest, bundle.plan, read=bundle.read)(ROWS) == pytest.approx(native(trained), rel=1e-4)


def test_a_request_is_answered_by_the_part_of_its_word(workshop: Workshop, tmp_path: Path) -> None:
    trained, bench = trained_in(workshop), make_bench(tmp_path / "predictor")
    bundle = packed(workshop, trained)
    copy_bundle(workshop.context.stores.artifacts, bundle.digest, into=bench.project.artifacts)
    bench.publish(Arm(role="live", model="line", version=1, digest=bundle.digest, percent=100))
    reply = bench.caller.post(PATH, {"rows": [{"items": 4.0, "shop": word} for word in WORDS]})
    answers = [one["value"] for one in reply.json["predictions"]]
    assert answers == pytest.approx(native(trained), rel=1e-4)
    assert answers[2] > 4 * answers[1] > 0


def test_a_part_that_was_exchanged_for_another_does_not_answer(workshop: Workshop) -> None:
    bundle = packed(workshop, trained_in(workshop))
    found = parts_of(bundle)
    north, south = (next(part for part in found.parts if part.word == word) for word in ("north", "south"))
    swapped = (msgspec.structs.replace(north, word="south"), msgspec.structs.replace(south, word="north"))
    with pytest.raises(IntegrityError, match="golden row"):
        load_model(with_parts(bundle, Parts(by="shop", parts=swapped)))


@pytest.mark.parametrize(("by", "word"), [("items", "north"), ("shop", "west")])
def test_parts_that_the_plan_does_not_know_are_refused(workshop: Workshop, by: str, word: str) -> None:
    bundle = packed(workshop, trained_in(workshop))
    part = msgspec.structs.replace(parts_of(bundle).parts[0], word=word)
    with pytest.raises(IntegrityError, match=f"'{by if by == 'items' else word}'.*pack it again"):
        load_model(with_parts(bundle, Parts(by=by, parts=(part,))))


def test_parts_are_looked_for_where_parts_are(workshop: Workshop) -> None:
    bundle = packed(workshop, trained_in(workshop))
    elsewhere = msgspec.structs.replace(parts_of(bundle).parts[0], folder="model/")
    with pytest.raises(IntegrityError, match="where no part is; pack it again"):
        load_model(with_parts(bundle, Parts(by="shop", parts=(elsewhere,))))


def test_two_parts_are_not_for_one_word(workshop: Workshop) -> None:
    bundle = packed(workshop, trained_in(workshop))
    first = parts_of(bundle).parts[0]
    with pytest.raises(IntegrityError, match="two parts are for one word"):
        load_model(with_parts(bundle, Parts(by="shop", parts=(first, first))))


def test_a_pickle_has_no_parts(workshop: Workshop) -> None:
    bundle = packed(workshop, trained_in(workshop))
    code = replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, format="pickle"))
    with pytest.raises(IntegrityError, match="pickle with parts, which nothing packs"):
        open_judged(code.manifest, code.plan, read=code.read, jail=None)


def test_a_part_that_is_kept_as_something_else_ends_the_training(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    estimator = trained.estimator
    boosted = lightgbm(replace(trained.training_set.train, X=_frame(trained)))
    other = replace(trained, estimator=replace(estimator, parts={**estimator.parts, 0: boosted}))
    with pytest.raises(TrainingFailed, match="part for 'east' is kept as lightgbm, the model for all as sklearn"):
        packed(workshop, other)


def _frame(trained: TrainedModel) -> Any:
    words = words_of(("items", "shop"), trained.training_set.train.categories)
    assert words is not None
    return words.frame(trained.training_set.train.X, unseen_is_missing=False)


def test_native_files_are_those_of_the_bundle(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    bundle = packed(workshop, trained)
    files = native_files(trained.estimator)
    assert {name.partition("/")[0] for name in files} == {"model", "parts"}
    assert all(bundle.files[name] == data for name, data in files.items())


def test_a_bundle_is_trusted_as_far_as_what_it_opens_for_any_part(workshop: Workshop) -> None:
    manifest = packed(workshop, trained_in(workshop)).manifest
    native = Forms(forms=(FormChoice(form=Form.NATIVE, from_rows=1),))
    assert tier_of(manifest, COMPILED_ALONE, COMPILED_ALONE) is FormatTier.DATA
    assert tier_of(manifest, COMPILED_ALONE, native) is FormatTier.LISTED


def test_the_card_tells_of_the_parts(workshop: Workshop) -> None:
    bundle = packed(workshop, trained_in(workshop))
    assert "3 of 3 parts by shop answer their words. The model for all answers everything else." in bundle.card
    assert "| south |" in bundle.card
    card = decode_card(bundle.read("card.json"))
    assert card.partition is not None
    assert card.partition == bundle.report.partition


def test_a_model_without_kept_parts_is_one_model(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declared(line))
    bundle = packed(workshop, trained_in(workshop))
    assert "parts.json" not in bundle.manifest.files
    assert not isinstance(open_served(bundle.manifest, bundle.plan, read=bundle.read), PartitionedModel)
