"""What people read of features: what is said of them, what a change asks for, whom a deprecation warns."""

import pytest
from tests.unit.cli.shop import Shop

MEAN = 'oc.mean("spent", over="24h")'
SAID = (
    'oc.mean("spent", over="24h", default=0, description="Usual spending.", owner="till", '
    'expect=oc.expect(minimum=0, maximum=1), deprecated="use takings__spent_latest")'
)


@pytest.fixture
def told(shop: Shop) -> Shop:
    """A shop whose mean spending has everything said of it."""
    module = shop.folder / "project.py"
    module.write_text(module.read_text().replace(MEAN, SAID))
    return shop


def test_every_value_is_listed_with_what_is_said_of_it(told: Shop) -> None:
    rows = {row["name"]: row for row in told.json("features", "list")}
    assert set(rows) == {"takings__spent_mean_24h", "takings__spent_latest", "items"}
    said = rows["takings__spent_mean_24h"]
    assert (said["default"], said["owner"], said["deprecated"]) == (0, "till", "use takings__spent_latest")
    assert (rows["items"]["kind"], rows["items"]["dtype"], rows["items"]["models"]) == (
        "request",
        "float64",
        ["spending"],
    )


def test_a_feature_is_shown_with_its_window_and_expectation(told: Shop) -> None:
    text = told.done("features", "show", "takings__spent_mean_24h")
    for word in ("Usual spending.", "float64", "1 h", "from 0 to 1", "use takings__spent_latest", "spending"):
        assert word in text


def test_a_view_is_shown_with_the_bytes_that_a_value_takes(told: Shop) -> None:
    told.done("materialize")
    assert "bytes a value" in told.done("features", "show", "takings")
    assert told.json("features", "show", "takings")["online_bytes"] > 8


def test_a_misspelt_feature_is_answered_with_the_nearest(told: Shop) -> None:
    assert "did you mean 'takings'" in told.run("features", "show", "taking").output


def test_a_plan_says_what_is_to_be_done_again_and_warns_of_what_is_deprecated(told: Shop) -> None:
    text = told.done("plan")
    assert "to be trained again: spending" in text
    assert "to be materialized" not in text
    assert "takes takings__spent_mean_24h, which is deprecated: use takings__spent_latest" in " ".join(text.split())


def test_a_longer_window_is_to_be_materialized_again(shop: Shop) -> None:
    module = shop.folder / "project.py"
    module.write_text(module.read_text().replace('over="24h"', 'over="7d"'))
    assert "to be materialized again: takings" in shop.done("plan")


def test_a_training_warns_of_what_is_deprecated_and_not_as_expected(told: Shop) -> None:
    warnings = told.json("train", "spending")["warnings"]
    assert len(warnings) == 2
    assert "which is deprecated" in warnings[0]
    assert "not as expected: takings__spent_mean_24h: " in warnings[1]
    assert "% of the values not from 0 to 1" in warnings[1]
