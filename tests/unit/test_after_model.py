"""Functions that come after a model, as they are declared: what is refused, and what is written down of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.workshop import boosted, declare, project_of

import octavo as oc
from octavo.definitions.answers import AfterModel
from octavo.definitions.changes import ChangeKind, changes
from octavo.definitions.plans import decode_plan, encode_plan, plan_lookup
from octavo.definitions.project import load_project
from octavo.errors import InvalidDefinition


@oc.after_model
def charged(prediction: Any, items: Any, takings__spent_latest: Any) -> Any:
    """With a fee for each item."""
    return np.where(np.isnan(takings__spent_latest), prediction, prediction + items)


def takes(*names: str) -> AfterModel:
    """A function with these parameters."""
    made: dict[str, Any] = {}
    exec(f"def after({', '.join(names)}):\n    return prediction", made)
    return AfterModel(name="after", inputs=names, function=made["after"])


def test_it_takes_what_the_model_says_and_its_inputs() -> None:
    model = declare(boosted, answer=charged)
    assert model.answer is charged
    assert str(model.answer) == "charged(prediction, items, takings__spent_latest)"
    assert charged.description == "With a fee for each item."
    assert plan_lookup(model).answered_by == str(charged)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (takes("prediction", "item"), "takes item, which is none of the model's inputs.*did you mean 'items'"),
        (takes("prediction", "shop"), "takes shop, which is none"),
        (takes("prediction", "spent"), "takes the label 'spent'.*a leak"),
        (takes("prediction", "after"), "takes after, which is none"),
        (np.exp, "declare a function under oc.after_model"),
    ],
)
def test_what_it_cannot_take_is_refused(answer: Any, why: str) -> None:
    with pytest.raises(InvalidDefinition, match=why):
        declare(boosted, answer=answer)


def test_an_input_that_is_called_as_the_output_is_refused() -> None:
    fields = [oc.request("prediction", oc.Float64), oc.request("items", oc.Float64)]
    source = oc.Source(
        "visits",
        event_time="left",
        schema={"left": oc.Timestamp, "prediction": oc.Float64, "items": oc.Float64, "spent": oc.Float64},
    )
    label = oc.Label(source, "spent", at="left")
    declare(boosted, features=fields, label=label, baseline=None)
    with pytest.raises(InvalidDefinition, match="one of its inputs is called 'prediction'"):
        declare(boosted, features=fields, label=label, baseline=None, answer=takes("prediction"))


def without(items: Any) -> Any:
    return items


def loose(prediction: Any, *others: Any) -> Any:
    return prediction


def keyed(prediction: Any, *, items: Any) -> Any:
    return prediction + items


@pytest.mark.parametrize(
    ("function", "why"),
    [(without, "does not take 'prediction'"), (loose, "takes .others"), (keyed, "takes items")],
)
def test_a_function_that_says_not_what_it_takes_is_refused(function: Callable[..., Any], why: str) -> None:
    with pytest.raises(InvalidDefinition, match=why):
        oc.after_model(function)


def test_models_without_one_are_written_down_as_before() -> None:
    plain = declare(boosted)
    document = project_of(plain).documents()["model/boosted"]
    later = {"answer", "overrides", "sweep", "limits", "costs", "partition_by", "partition_min_rows"}
    assert not later & msgspec.json.decode(document).keys()
    plan = plan_lookup(plain)
    assert not later & msgspec.json.decode(encode_plan(plan)).keys()
    whole = msgspec.json.encode(plan, order="deterministic")
    assert encode_plan(plan) == whole.replace(b',"overrides":[]', b"").replace(b',"answer":null', b"")


def test_one_more_is_a_change_for_which_the_model_is_trained_again() -> None:
    before = project_of(declare(boosted)).documents()
    [change] = changes(before, project_of(declare(boosted, answer=charged)))
    assert (change.kind, change.definition, change.fields) == (ChangeKind.CHANGED, "model/boosted", ("answer",))
    assert change.retrain == ("boosted",)


def test_other_code_is_a_change_and_another_description_is_none_to_learn_from(tmp_path: Path) -> None:
    def document_of(number: int, function: str) -> dict[str, bytes]:
        path = tmp_path / f"project{number}.py"
        path.write_text(f"import octavo as oc\nfrom tests.workshop import boosted, declare\n\n{function}\n", "utf-8")
        return dict(load_project(path, name="shops").documents())

    text = "@oc.after_model\ndef less(prediction):\n    return prediction - 1\n\nmodel = declare(boosted, answer=less)"
    same, other = document_of(1, text), document_of(2, text.replace("- 1", "- 2"))
    assert document_of(3, text) == same
    assert same["model/boosted"] != other["model/boosted"]


def test_it_travels_in_the_plan() -> None:
    plan = plan_lookup(declare(boosted, answer=charged))
    assert decode_plan(encode_plan(plan)) == plan
