"""The card of a version tells a person what it is, how well it does and where it ends."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.workshop import boosted, declare, open_workshop, takings

import octavo as oc
from octavo.registry.cards import model_card
from octavo.registry.parity import Parity
from octavo.registry.provenance import provenance_of
from octavo.training.details import Details, SliceRow
from octavo.training.fit import train
from octavo.training.intervals import Interval


def likely(train: oc.Dataset) -> Any:
    """Whether much is spent."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=5, num_leaves=7, n_jobs=1, verbose=-1).fit(train.X, train.y)


def card_of(folder: Path, **changes: Any) -> str:
    workshop = open_workshop(folder, declare(likely if changes.get("above") else boosted, **changes))
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    parity = Parity(worst=0.0, proven=(), refused=())
    provenance = provenance_of(trained, folder=folder, environment={}, parity=parity)
    return model_card(workshop.model, trained.report, provenance)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    return card_of(tmp_path_factory.mktemp("shop"), owner="the shops", description="What a visit brings in.")


def test_it_says_what_the_model_is_for_and_whose_it_is(card: str) -> None:
    assert card.startswith("# boosted\n\nWhat a visit brings in.\n")
    assert "- Owner: the shops\n" in card
    assert "- Predicts: `spent` of `visits`\n" in card


def test_it_says_what_was_known_and_from_which_rows(card: str) -> None:
    assert "- Knows what was known before 2030-01-21 00:00 UTC\n" in card
    assert "rows, decided from 2030-01-01" in card
    assert ", which it did not see" in card


def test_metrics_stand_with_their_intervals_beside_the_baselines(card: str) -> None:
    lines = [line for line in card.splitlines() if line.startswith("|")]
    assert lines[0] == "| | mae |"
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["this version", "constant", "takings__spent_latest"]
    assert all(" to " in line for line in lines[2:])


def test_inputs_stand_by_importance_with_the_greatest_first(card: str) -> None:
    assert "- `items` " in card.partition("## What it looks at\n\n")[2].splitlines()[0]


def test_what_is_not_declared_is_said_to_be_missing(tmp_path: Path) -> None:
    card = card_of(tmp_path, description=" ", owner="", purpose="", tier=None)
    for what in ("Owner", "Purpose", "Risk tier"):
        assert f"- {what}: not declared\n" in card


def test_a_binary_model_says_what_its_probability_is_of(tmp_path: Path) -> None:
    card = card_of(tmp_path, above=20.0)
    assert "- Predicts: the probability that `spent` of `visits` is above 20\n" in card
    assert "Its answer is a probability, not a decision." in card


def test_what_its_training_rows_do_not_meet_and_what_is_deprecated_is_said(tmp_path: Path) -> None:
    items = oc.request("items", oc.Float64, expect=oc.expect(maximum=-1), deprecated="use basket")
    ends = card_of(tmp_path, features=[takings, items]).partition("## Where it ends")[2]
    assert "- Its training rows are not what the project expects: items: 100 % of the values not at most -1 " in ends
    assert "- When it was trained, model 'boosted' takes items, which is deprecated: use basket." in ends


def test_where_it_does_worse_than_elsewhere_is_said(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(boosted))
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    metric = Interval(value=21.0, low=19.5, high=22.5)
    weak = SliceRow(name="shop = east", rows=612, metric=metric, beyond=6.2, is_sure=True)
    details = Details(metric="mae", slices=(weak, replace(weak, name="shop = south", is_sure=False)))
    parity = Parity(worst=0.0, proven=(), refused=())
    provenance = provenance_of(trained, folder=tmp_path, environment={}, parity=parity)
    card = model_card(workshop.model, replace(trained.report, details=details), provenance)
    assert "- It does worse where shop = east (612 held-out rows): mae 21 (19.5 to 22.5).\n" in card
    assert "shop = south" not in card
