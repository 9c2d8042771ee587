from pathlib import Path

import pytest

from octavo.definitions.changes import Change, ChangeKind, changes
from octavo.definitions.project import load_project
from octavo.errors import ConfigurationError, InvalidDefinition, NotFound

MODULE = """
import octavo as oc

sales = oc.Source(
    "sales",
    event_time="at",
    schema={"shop": oc.String, "asked": oc.Timestamp, "at": oc.Timestamp, "amount": oc.Float64},
)
shop = oc.Entity("shop", key="shop")
spend = oc.FeatureView("spend", entity=shop, source=sales, features=[oc.mean("amount", over="24h")])

@oc.model(features=[spend], label=oc.Label(sales, "amount", at="asked"), metrics=["mae"])
def forecast(train):
    return None

shopping = oc.Deployment("shopping", model=forecast)
"""


def load(folder: Path, text: str = MODULE):
    (folder / "project.py").write_text(text, encoding="utf-8")
    return load_project(folder / "project.py", name="shops")


def test_everything_declared_is_found_by_name(tmp_path: Path) -> None:
    project = load(tmp_path)
    assert list(project.documents()) == [
        "entity/shop",
        "source/sales",
        "view/spend",
        "model/forecast",
        "deployment/shopping",
    ]


def test_the_same_module_gives_the_same_documents(tmp_path: Path) -> None:
    assert load(tmp_path).documents() == load(tmp_path).documents()


def test_a_new_project_is_all_additions(tmp_path: Path) -> None:
    assert {change.kind for change in changes({}, load(tmp_path))} == {ChangeKind.ADDED}


def test_a_changed_view_names_its_field_and_whom_it_touches(tmp_path: Path) -> None:
    before = load(tmp_path).documents()
    after = load(tmp_path, MODULE.replace('over="24h"', 'over="7d"'))
    expected = Change(
        kind=ChangeKind.CHANGED,
        definition="view/spend",
        fields=("features",),
        affects=("model/forecast", "deployment/shopping"),
        retrain=("forecast",),
    )
    assert changes(before, after) == (expected,)


def test_changed_training_code_is_a_change_of_the_model(tmp_path: Path) -> None:
    before = load(tmp_path).documents()
    (change,) = changes(before, load(tmp_path, MODULE.replace("return None", "return 1")))
    assert (change.definition, change.fields) == ("model/forecast", ("code",))


@pytest.mark.parametrize(
    ("old", "new", "retrained"),
    [
        ('over="24h"', 'over="24h", default=0', True),
        ('over="24h"', 'over="24h", owner="sales", expect=oc.expect(minimum=0), deprecated="use takings"', False),
        ('event_time="at",', 'event_time="at", owner="till", id=["shop", "at"],', True),
        ('event_time="at",', 'event_time="at", description="What was paid.",', False),
        (
            '"amount": oc.Float64}',
            '"amount": oc.Float64, "tax": oc.Float64}, id=["shop", "asked", "at", "amount"]',
            False,
        ),
        ('metrics=["mae"]', 'metrics=["rmse"], retrain=[oc.on_drift()]', False),
        ('metrics=["mae"]', 'metrics=["mae"], holdout="3d"', True),
        ("return None", "return 0", True),
        ("model=forecast", 'model=forecast, rollout=oc.Rollout(shadow="9h")', False),
    ],
)
def test_models_are_trained_again_where_they_learned_from_something_else(
    tmp_path: Path, old: str, new: str, retrained: bool
) -> None:
    before = load(tmp_path).documents()
    (change,) = changes(before, load(tmp_path, MODULE.replace(old, new)))
    assert (change.retrain, change.fields != ()) == (("forecast",) if retrained else (), True)


_BY_SHOP = MODULE.replace("features=[spend]", 'features=[spend, oc.request("shop", oc.Category)]')


def test_a_model_without_parts_is_recorded_as_before_there_were_any(tmp_path: Path) -> None:
    document = load(tmp_path, _BY_SHOP).documents()["model/forecast"]
    assert b"partition" not in document
    declared = load(tmp_path, _BY_SHOP.replace('metrics=["mae"]', 'metrics=["mae"], partition_by="shop"'))
    (change,) = changes(load(tmp_path, _BY_SHOP).documents(), declared)
    assert (change.fields, change.retrain) == (("partition_by",), ("forecast",))


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    text = MODULE + '\nagain = oc.Source("sales", event_time="at", schema={"at": oc.Timestamp})\n'
    with pytest.raises(InvalidDefinition, match="two sources are named 'sales'"):
        load(tmp_path, text)


def test_a_module_that_fails_says_how(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ZeroDivisionError"):
        load(tmp_path, "1 / 0")


def test_a_misspelt_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="did you mean 'shopping'"):
        load(tmp_path).deployment("shoping")
