"""models report, waive and unwaive, as people use them."""

import re
from dataclasses import replace

from tests.unit.cli.shop import Shop, keep_predictions

from octavo.registry.versions import ModelVersion
from octavo.release.lifecycle import deployment_state


def fail_a_gate(shop: Shop) -> None:
    with shop.context() as context, context.transaction() as tx:
        version = tx.get(ModelVersion, "spending/1")
        assert version is not None
        tx.replace(version, replace(version, gates=(replace(version.gates[0], passed=False),)))


def test_a_report_says_how_a_version_does_and_where_it_does_worse(shop: Shop) -> None:
    text = shop.done("models", "report", "spending", "1")
    assert "this version" in text
    assert "baseline constant" in text
    assert "slice" in text
    report = shop.json("models", "report", "spending", "1")
    assert report["report"]["details"]["metric"] == "mae"
    assert report["report"]["details"]["dependence"]
    assert report["comparison"] is None
    assert report["gates"][0]["numbers"]["mae"] > 0


def test_a_report_is_written_as_one_page(shop: Shop) -> None:
    said = shop.done("models", "report", "spending", "1", "--html", "report.html")
    assert said == "The report of spending 1 is in report.html.\n"
    page = (shop.folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "spending 1 <small>model report</small>" in page


def test_a_partitioned_model_says_which_parts_answer_and_why_others_do_not(shop: Shop) -> None:
    module = shop.folder / "project.py"
    text = module.read_text(encoding="utf-8").replace(
        'features=[takings, oc.request("items", oc.Float64)]',
        'features=[oc.request("items", oc.Float64), oc.request("shop", oc.Category)], '
        'partition_by="shop", partition_min_rows=100',
    )
    module.write_text(text, encoding="utf-8")
    shop.done("train", "spending")
    for told in (shop.done("models", "version", "spending", "2"), shop.done("models", "report", "spending", "2")):
        assert "0 of 2 parts by shop answer their words." in told
        assert len(re.findall(r"^(?:north|south) .* the model for all +not surely better", told, re.MULTILINE)) == 2
    assert "| north |" in shop.done("models", "version", "spending", "2", "--card")


def test_a_gate_is_waived_for_a_while_and_the_waiver_withdrawn(shop: Shop) -> None:
    fail_a_gate(shop)
    refused = shop.run("deployments", "release", "till", "--version", "1")
    assert refused.exit_code != 0
    assert "did not pass better_than_baseline(mae)" in refused.stderr
    reason = ["--reason", "the holdout is a holiday", "--for", "2d"]
    text = shop.done("models", "waive", "spending", "1", "better_than_baseline", *reason)
    assert "no; waived by" in text
    assert "the holdout is a holiday" in text
    assert "did not pass a gate, which is waived" in shop.done("models", "version", "spending", "1")
    shop.done("models", "unwaive", "spending", "1", "better_than_baseline")
    assert "cannot be released" in shop.done("models", "version", "spending", "1")


def test_a_second_version_is_judged_beside_the_live_one_and_by_what_was_served(shop: Shop) -> None:
    module = shop.folder / "project.py"
    declared = """gates=[oc.better_than_champion("mae", confidence=0.95, margin=0.05), oc.replays(within=0.001),
                 oc.no_worse_on(["shop"], metric="mae", min_rows=20), oc.small(bytes=1_000_000), oc.no_skew(),
                 oc.better_on_log("mae", needed=False)]"""
    text = module.read_text(encoding="utf-8").replace('gates=[oc.better_than_baseline("mae")]', declared)
    module.write_text(text, encoding="utf-8")
    keep_predictions(shop, n=3)  # the first of them just now, so that two count
    with shop.context() as context, context.transaction() as tx:
        state = deployment_state(tx, "till")
        tx.replace(state, replace(state, live=1, sequence=1))
    gates = {gate["gate"].partition("(")[0]: gate for gate in shop.json("train", "spending")["version"]["gates"]}
    assert {name: gate["passed"] for name, gate in gates.items()} == {
        "better_than_champion": True,
        "replays": True,
        "no_worse_on": True,
        "small": True,
        "no_skew": False,  # the shop's recorded predictions are made up
        "better_on_log": True,
    }
    assert gates["replays"]["numbers"]["requests"] == 2
    assert gates["no_worse_on"]["numbers"]["slices"] == 2
    assert "not what the events say" in gates["no_skew"]["evidence"]
    assert gates["better_on_log"]["judged"] is False
    compared = shop.json("models", "report", "spending", "2")["comparison"]
    assert (compared["champion"], compared["metrics"][0]["difference"]["value"]) == (1, 0.0)
    assert "version 1" in shop.done("models", "report", "spending", "2")
