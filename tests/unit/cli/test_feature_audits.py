"""Training and serving, compared at the command line."""

import pytest
from tests.unit.cli.shop import PREDICTION, Shop, keep_predictions

from octavo.cli.feature_audits import show_features
from octavo.features.audit.reasons import FeatureAudit, Reason

LATEST = "takings__spent_latest"


def test_a_store_that_is_wrong_is_told_with_an_example_and_an_exit_code(shop: Shop) -> None:
    keep_predictions(shop, n=3)
    result = shop.run("features", "audit")
    assert result.exit_code == 1
    assert "of 4 values are not what the events say" in result.stdout
    assert "store wrong" in result.stdout
    assert PREDICTION[:-6] in result.stdout


def test_what_was_found_is_kept_and_opens_an_incident(shop: Shop) -> None:
    keep_predictions(shop, n=3)
    shop.run("features", "audit", "--deployment", "till", "--since", "24h")
    [incident] = shop.json("incidents", "--open")
    assert (incident["incident_kind"], incident["deployment"]) == ("skew", "till")
    assert "octavo materialize --force" in incident["cause"]


def test_programs_read_numbers_by_reason(shop: Shop) -> None:
    keep_predictions(shop, n=3)
    result = shop.run("features", "audit", "--limit", "1", "--json")
    assert result.exit_code == 1
    assert f'"name": "{LATEST}"' in result.stdout
    assert '"predictions": 1' in result.stdout


def test_a_time_that_is_none_is_refused(shop: Shop) -> None:
    result = shop.run("features", "audit", "--since", "yesterday")
    assert result.exit_code == 5
    assert "write it like 24h" in result.output


def test_features_of_which_nothing_differs_are_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    late = FeatureAudit(name="late", counts={Reason.EQUAL: 3, Reason.LATE_DATA: 1}, is_changed=False)
    equal = [FeatureAudit(name=name, counts={Reason.EQUAL: 4}, is_changed=False) for name in ("one", "other")]
    show_features((late, *equal))
    assert capsys.readouterr().out.splitlines() == [
        "feature  equal  late data",
        "late         3          1",
        "Every value of 2 more features is equal.",
    ]
