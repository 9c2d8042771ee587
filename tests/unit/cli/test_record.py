"""What is on record of a project: who changed what, who served what, and what came of what."""

import json
import sqlite3
from pathlib import Path

import pytest
from tests.unit.cli.shop import PREDICTION, Shop

from octavo.release.lifecycle import advance, note_served, request
from octavo.release.publish import publish_current
from octavo.release.rollout import Evidence


def nodes(shop: Shop, *arguments: str) -> dict[str, int]:
    return {one["node"].split("-")[0]: one["distance"] for one in shop.json("lineage", *arguments)["nodes"]}


def serve(shop: Shop) -> None:
    """Have the version answer all."""
    with shop.context() as context:
        release = request(context, "till", version=1, cause="user")
        for _ in range(3):
            release = note_served(context, advance(context, release.id, evidence=Evidence(has_live=False)))
        publish_current(context, "till")


def test_from_a_table_of_events_one_comes_to_the_predictions(shop: Shop) -> None:
    serve(shop)
    found = shop.json("lineage", "source:visits", "--down", "--depth", "8")
    kinds = {one["kind"]: one for one in found["nodes"]}
    assert list(kinds) == [
        "source", "view", "model", "dataset", "run", "version", "deployment", "predictions", "composite",
    ]  # fmt: skip
    assert kinds["predictions"]["about"] == "1 prediction"
    [read] = [edge for edge in found["edges"] if edge["target"].startswith("dataset:") and "source:" in edge["source"]]
    assert read["how"] == "table version 1"


def test_from_a_prediction_one_comes_back_to_the_tables_at_their_versions(shop: Shop) -> None:
    found = shop.json("lineage", PREDICTION, "--up", "--depth", "8")
    assert {one["kind"] for one in found["nodes"]} == {
        "prediction", "version", "deployment", "view", "run", "dataset", "source",
    }  # fmt: skip
    ways = {edge["how"] for edge in found["edges"]}
    assert {"2 inputs, 1 missing", "its rows, table version 1", "trained on", "made by"} <= ways


def test_what_leads_down_leads_back_up(shop: Shop) -> None:
    serve(shop)
    down = shop.json("lineage", "source:visits", "--down", "--depth", "8")
    for one in down["nodes"][1:]:
        if one["kind"] != "composite":
            back = shop.json("lineage", one["node"], "--up", "--depth", "8")
            assert "source:visits" in {found["node"] for found in back["nodes"]}, one["node"]


def test_a_step_is_taken_at_a_time(shop: Shop) -> None:
    assert set(nodes(shop, "version:spending/1", "--depth", "1").values()) == {-1, 0, 1}
    assert set(nodes(shop, "spending/1", "--up", "--depth", "2").values()) == {-2, -1, 0}
    assert set(nodes(shop, "spending/1", "--down", "--depth", "1").values()) == {0, 1}


def test_a_source_that_is_selected_from_another_comes_of_it(shop: Shop) -> None:
    assert nodes(shop, "source:daily", "--up") == {"source:daily": 0, "source:visits": -1}
    assert nodes(shop, "source:visits", "--down")["source:daily"] == 1


def test_a_bundle_is_the_version_that_it_holds(shop: Shop) -> None:
    digest = shop.json("models", "version", "spending", "1")["version"]["digest"]
    assert shop.json("lineage", f"bundle:{digest}")["node"] == "version:spending/1"


def test_a_name_that_nothing_has_is_told_with_the_nearest(shop: Shop) -> None:
    result = shop.run("lineage", "source:vists")
    assert result.exit_code == 7
    assert "did you mean 'visits'?" in result.stderr


def test_who_served_when_is_told_to_the_moment(shop: Shop) -> None:
    serve(shop)
    [service] = shop.json("models", "history", "spending")["services"]
    assert (service["deployment"], service["version"], service["share"], service["until"]) == ("till", 1, 1, None)
    at = shop.json("models", "history", "--deployment", "till", "--at", service["since"])
    assert at["services"] == [service]
    before = service["since"].replace("2030", "2029")
    assert shop.json("models", "history", "--at", before)["services"] == []


def test_an_export_is_checked_without_a_project(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = shop.json("audit", "checkpoint")
    shop.done("audit", "export", "--out", "audit.jsonl")
    [checkpoint] = (shop.folder / ".octavo" / "checkpoints").iterdir()
    arguments = [str(shop.folder / "audit.jsonl"), "--checkpoint", str(checkpoint)]
    key = ["--key", str(shop.folder / ".octavo" / "keys" / "release.pub")]
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    verdict = shop.json("audit", "verify", *arguments, *key)
    since = 2  # that the checkpoint was made, and that the export began
    assert (verdict["last"], verdict["checkpoints"], verdict["key_given"]) == (kept["sequence"] + since, 1, True)
    assert "by the key in the file itself" in shop.run("audit", "verify", *arguments).stderr
    assert not Path(".octavo").exists()


def test_an_export_that_was_changed_is_refused_with_the_place(shop: Shop) -> None:
    shop.done("audit", "export", "--out", "audit.jsonl")
    text = Path("audit.jsonl").read_text()
    Path("audit.jsonl").write_text(text.replace("project.apply", "project.plan_", 1))
    result = shop.run("audit", "verify", "audit.jsonl", "--json")
    assert result.exit_code == 11
    problem = json.loads(result.stderr)
    assert problem["code"] == "integrity"
    assert "entry 1 is not what was written" in problem["detail"]


def test_an_export_replaces_no_file(shop: Shop) -> None:
    Path("audit.jsonl").write_text("mine")
    assert shop.run("audit", "export", "--out", "audit.jsonl").exit_code == 5
    assert Path("audit.jsonl").read_text() == "mine"
    assert shop.run("audit", "export", "--out", "other.jsonl", "--from", "99").exit_code == 5
    assert not Path("other.jsonl").exists()


def test_what_is_changed_in_the_database_is_found(shop: Shop) -> None:
    assert "as they were written" in shop.done("audit", "verify")
    with sqlite3.connect(".octavo/metadata.db") as connection:
        connection.execute("UPDATE audit SET actor = 'user:eve' WHERE seq = 1")
    connection.close()
    result = shop.run("audit", "verify")
    assert (result.exit_code, "entry 1 is not what was written" in result.stderr) == (11, True)


def test_what_is_cut_off_in_the_database_is_found(shop: Shop) -> None:
    with sqlite3.connect(".octavo/metadata.db") as connection:
        connection.execute("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
    connection.close()
    result = shop.run("audit", "verify")
    assert (result.exit_code, "the rest was cut off" in result.stderr) == (11, True)


@pytest.mark.parametrize("key", ["nonsense", "ab" * 31])
def test_what_is_no_key_is_refused(shop: Shop, key: str) -> None:
    shop.done("audit", "export", "--out", "audit.jsonl")
    assert shop.run("audit", "verify", "audit.jsonl", "--key", key).exit_code == 5


def test_another_key_is_not_trusted(shop: Shop) -> None:
    shop.done("audit", "export", "--out", "audit.jsonl")
    result = shop.run("audit", "verify", "audit.jsonl", "--key", "5b" * 32)
    assert (result.exit_code, "is trusted" in result.stderr) == (11, True)
