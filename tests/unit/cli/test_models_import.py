"""octavo models import: what it says of what it made, and of what it did not."""

import json

from tests.unit.cli.calls import model_directory
from tests.unit.cli.shop import Shop


def test_it_says_what_the_version_is_worth_and_what_it_may_have_learned(shop: Shop) -> None:
    said = " ".join(shop.done("models", "import", model_directory(shop), "--model", "spending").split())
    assert "spending 2 was imported and judged in" in said
    assert "better_than_baseline(mae)" in said
    assert "Warning: it may have learned from" in said
    assert "Next: octavo models version spending 2" in said


def test_the_version_says_where_it_was_fitted(shop: Shop) -> None:
    shop.done("models", "import", model_directory(shop), "--model", "spending")
    said = " ".join(shop.done("models", "version", "spending", "2").split())
    assert "fitted by MLflow 3.17.2, flavour lightgbm, files sha256:" in said
    assert "it may have learned from" in said


def test_the_same_model_scores_as_when_it_was_trained_here(shop: Shop) -> None:
    version = shop.json("models", "import", model_directory(shop), "--model", "spending")["version"]
    trained = shop.json("models", "version", "spending", "1")["version"]
    assert version["metrics"] == trained["metrics"]


def test_it_releases_what_passes_if_it_is_asked_to(shop: Shop) -> None:
    made = shop.json("models", "import", model_directory(shop), "--model", "spending", "--release")
    assert made["version"]["gates"][0]["passed"]
    assert made["release"]


def test_a_folder_that_is_no_model_is_refused(shop: Shop) -> None:
    result = shop.run("models", "import", str(shop.folder), "--model", "spending", "--json")
    assert result.exit_code != 0
    assert "holds no file MLmodel" in json.loads(result.stderr)["detail"]


def test_a_model_that_is_not_declared_is_refused(shop: Shop) -> None:
    result = shop.run("models", "import", model_directory(shop), "--model", "spendings", "--json")
    assert "did you mean 'spending'?" in json.loads(result.stderr)["detail"]
