"""Which form answers how many rows, and what happens where its library is not installed."""

import sys
from collections.abc import Mapping
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from tests.workshop import Workshop, boosted, declare, open_workshop

from octavo.errors import IntegrityError
from octavo.registry.bundles import Bundle, fetch_bundle
from octavo.registry.choosing import BATCHES, choose_forms
from octavo.registry.forms import COMPILED_ALONE, Form, FormChoice, Forms, decode_forms, encode_forms
from octavo.registry.packing import pack
from octavo.registry.served import Outputs, ServedModel, open_judged, open_served
from octavo.training.fit import train

CALLS = 3
MIXED = Forms(forms=(FormChoice(form=Form.COMPILED, from_rows=1), FormChoice(form=Form.NATIVE, from_rows=256)))


def answering(value: float) -> Outputs:
    return lambda rows: np.full(len(rows), value)


BOTH: Mapping[Form, Outputs] = {Form.COMPILED: answering(1.0), Form.NATIVE: answering(2.0)}


def chosen(*, native_s: tuple[float, ...]) -> tuple[FormChoice, ...]:
    """The choice if a compiled batch takes a second, and a native one of each size so long."""
    took = [1.0] * len(BATCHES) * CALLS + [one for one in native_s for _ in range(CALLS)]
    times = accumulate(step for one in took for step in (0.0, one))
    return choose_forms(BOTH, np.zeros((5, 2)), timer=partial(next, times)).forms


def packed_natively(folder: Path) -> tuple[Workshop, Bundle]:
    """A bundle whose native form measured faster than the compiled one, which is in it too."""
    workshop = open_workshop(folder, declare(boosted))
    took = [1.0] * len(BATCHES) * CALLS + [0.5] * len(BATCHES) * CALLS
    times = accumulate(step for one in took for step in (0.0, one))
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    digest = pack(workshop.context, trained, timer=partial(next, times)).digest
    return workshop, fetch_bundle(workshop.context.stores.artifacts, digest, into=folder / "bundles")


def test_a_form_answers_from_its_number_of_rows_on() -> None:
    model = ServedModel(MIXED, BOTH)
    answers = {rows: float(model.predict(np.zeros((rows, 2), np.float32))[0]) for rows in (1, 255, 256, 5_000)}
    assert answers == {1: 1.0, 255: 1.0, 256: 2.0, 5_000: 2.0}


@pytest.mark.parametrize(
    ("native_s", "words"),
    [
        ((2.0, 2.0, 2.0, 2.0), "onnx"),
        ((2.0, 0.8, 0.7, 0.1), "onnx, from 256 rows native"),
        ((0.1, 0.1, 0.1, 0.1), "native"),
        ((0.1, 2.0, 2.0, 0.1), "native, from 16 rows onnx, from 4096 rows native"),
    ],
)
def test_a_native_form_is_chosen_where_it_is_much_faster(native_s: tuple[float, ...], words: str) -> None:
    assert Forms(forms=chosen(native_s=native_s)).words == words


def test_forms_come_back_from_their_file() -> None:
    assert decode_forms(encode_forms(MIXED)) == MIXED
    assert decode_forms(None) == COMPILED_ALONE


@pytest.mark.parametrize("rows", [(), (2,), (1, 1), (1, 9, 3)])
def test_forms_that_leave_a_number_of_rows_open_are_refused(rows: tuple[int, ...]) -> None:
    forms = Forms(forms=tuple(FormChoice(form=Form.NATIVE, from_rows=one) for one in rows))
    with pytest.raises(IntegrityError, match="must rise from 1"):
        decode_forms(encode_forms(forms))


def test_what_says_nothing_of_forms_is_refused() -> None:
    with pytest.raises(IntegrityError, match="do not say how a model is served"):
        decode_forms(b'{"forms": [{"form": "pickle", "from_rows": 1}]}')


def test_a_native_form_answers_as_the_compiled_one(tmp_path: Path) -> None:
    _, bundle = packed_natively(tmp_path)
    native = open_served(bundle.manifest, bundle.plan, read=bundle.read)
    judged = open_judged(bundle.manifest, bundle.plan, read=bundle.read)
    assert native.forms.used == (Form.NATIVE,)
    assert native.predict(bundle.golden.rows) == pytest.approx(judged(bundle.golden.rows), rel=1e-4)


def test_where_a_library_is_not_installed_the_compiled_form_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bundle = packed_natively(tmp_path)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert open_served(bundle.manifest, bundle.plan, read=bundle.read).forms == COMPILED_ALONE


def test_where_there_is_no_compiled_form_either_the_bundle_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bundle = packed_natively(tmp_path)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    del bundle.manifest.files["model/model.onnx"]
    with pytest.raises(IntegrityError, match=r"served by its own library, which is not installed here.*octavo\[light"):
        open_served(bundle.manifest, bundle.plan, read=bundle.read)
