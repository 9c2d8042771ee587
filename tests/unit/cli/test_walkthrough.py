"""What people read on the way from a template to a version that is released."""

import re
from dataclasses import replace

from tests.unit.cli.calls import ANSWER, open_incident
from tests.unit.cli.shop import PREDICTION, ROW, Shop, jsonl, keep_predictions
from tests.unit.client.scripted import Reply, scripted_server

from octavo.access import ensure_admin, project_access, redeem_login
from octavo.cli.catalogue import ENTRIES
from octavo.config import config_here
from octavo.release.releases import DeploymentState
from octavo.stores.ownership import own_online


def test_a_template_becomes_a_project_that_says_what_comes_next(empty_shop: Shop) -> None:
    text = empty_shop.done("new", "trips", "my-project")
    assert "project.py" in text
    assert "cd my-project" in text
    assert 'name = "my-project"' in (empty_shop.folder / "my-project" / "octavo.toml").read_text()


def test_a_folder_that_holds_something_is_left_alone(empty_shop: Shop) -> None:
    result = empty_shop.run("new", "trips", ".")
    assert result.exit_code != 0
    assert (empty_shop.folder / "octavo.toml").read_text().startswith("\n[project]")


def test_a_plan_says_what_applying_does_and_a_second_one_that_nothing_is_left(empty_shop: Shop) -> None:
    assert "Would change 7 of 7 definitions of shops. Next: octavo apply" in empty_shop.done("plan")
    assert "+ view/takings" in empty_shop.done("apply")
    assert empty_shop.done("plan") == "All 7 definitions of shops are in force as they stand here.\n"
    assert empty_shop.done("apply").startswith("Applied 0 definitions of shops; 7 were in force already.")


def test_a_change_says_whom_it_affects(shop: Shop) -> None:
    module = shop.folder / "project.py"
    module.write_text(module.read_text().replace('over="24h"', 'over="48h"'))
    assert "~ view/takings" in shop.done("plan")
    assert "affects" in shop.done("plan")


def test_a_training_tells_its_metrics_and_gates_and_what_comes_next(shop: Shop) -> None:
    text = shop.done("train", "spending")
    assert text.startswith("spending 2 was trained on ")
    assert "better_than_baseline(mae)  yes" in text
    assert text.endswith("Next: octavo models version spending 2\n")


def test_a_release_that_waits_for_the_worker_is_shown(shop: Shop) -> None:
    assert "octavo up" in shop.done("train", "spending", "--release")
    assert "version 2: requested" in shop.done("deployments")
    assert "asked for by user" in shop.done("deployments", "show", "till")


def test_training_needs_no_worker_and_does_not_compete_with_one(shop: Shop) -> None:
    lock = own_online(config_here())
    try:
        assert shop.run("train", "spending").exit_code == 0
        refused = shop.run("materialize")
    finally:
        lock.release()
    assert refused.exit_code == 8
    assert "octavo up" in refused.stderr


def test_a_report_shows_metrics_beside_baselines_and_the_largest_input_with_the_longest_bar(shop: Shop) -> None:
    lines = shop.done("models", "version", "spending", "1").splitlines()
    assert lines[0] == "spending 1 passed its gates"
    (place,) = [place for place, line in enumerate(lines) if line.startswith("input ")]
    assert lines[place + 1].startswith("items ")
    assert lines[place + 1].endswith("█" * 20)
    assert any(line.startswith("baseline constant") for line in lines)


def test_a_model_card_is_printed_as_it_is(shop: Shop) -> None:
    assert shop.done("models", "version", "spending", "1", "--card").startswith(
        "# spending\n\nWhat a visitor spends.\n"
    )


def test_an_alias_names_a_version_until_somebody_moves_it(shop: Shop) -> None:
    assert "spending@champion names version 1." in shop.done("models", "alias", "spending", "champion", "1")
    assert "spending@champion" in shop.done("models", "aliases", "spending")
    refused = shop.run("models", "unalias", "spending", "champion", "--expect", "2")
    assert "names version 1, not version 2 as expected" in refused.stderr
    assert "names no version any more" in shop.done("models", "unalias", "spending", "champion", "--expect", "1")
    assert shop.done("models", "aliases").startswith("No alias yet.")


def test_a_prediction_shows_what_it_was_made_from_and_what_came_of_it(shop: Shop) -> None:
    text = shop.done("predictions", "show", PREDICTION)
    assert "spending 1 (live) for till" in text
    assert re.search(r"takings__spent_latest +- +missing +-", text)
    assert "shop=north, items=3" in text


def test_an_answer_names_the_features_that_were_not_there(shop: Shop) -> None:
    ensure_admin(shop.folder / ".octavo")
    prediction = {"id": PREDICTION, "value": 12.0, "version": 1}
    stale = {**prediction, "features": {"takings__spent_latest": "stale"}}
    bodies = [{**ANSWER, "predictions": [one]} for one in (stale, prediction)]
    with scripted_server(*(Reply(body=body) for body in bodies)) as server:
        shop.announce("predictor", server.url)
        assert "takings__spent_latest stale" in shop.done("predict", "till", jsonl(ROW))
        assert "all present" in shop.done("predict", "till", jsonl(ROW))
    assert server.requests[0].body == {"rows": [ROW]}


def test_a_composite_answers_with_its_nodes(shop: Shop) -> None:
    ensure_admin(shop.folder / ".octavo")
    nodes = {"till": {"value": 12.0, "id": PREDICTION, "version": 1}, "tipped": {"value": None}}
    body = {"composite": "bill", "version": 1, "predictions": [{"id": PREDICTION, "value": 13.2, "nodes": nodes}]}
    with scripted_server(Reply(body=body)) as server:
        shop.announce("predictor", server.url)
        assert re.search(rf"till +tipped\n{PREDICTION} +13.2 +12 +-\n", shop.done("predict", "bill", jsonl(ROW)))


def test_a_composite_says_by_what_each_node_is_answered(shop: Shop) -> None:
    text = shop.done("composites", "show", "bill")
    assert re.search(r"\ntill +(nothing released|spending \d+)", text)
    assert re.search(r"\ntipped +a function +till", text)


def test_many_rows_are_asked_for_in_several_requests_and_answered_as_one(shop: Shop) -> None:
    ensure_admin(shop.folder / ".octavo")
    rows = "\n".join([jsonl(ROW)] * 2500)
    with scripted_server(*[Reply(body=ANSWER)] * 3) as server:
        shop.announce("predictor", server.url)
        answer = shop.json("predict", "till", input=rows)
    assert [len(sent.body["rows"]) for sent in server.requests] == [1000, 1000, 500]
    assert len(answer["predictions"]) == 3


def test_a_look_shows_the_inputs_that_moved_most(shop: Shop) -> None:
    with shop.context() as context, context.transaction() as tx:
        state = tx.get(DeploymentState, "till")
        assert state is not None
        tx.replace(state, replace(state, live=1))
    keep_predictions(shop, n=400)
    for command in ("look", "show"):
        text = shop.done("monitor", command, "till")
        assert "drift" in text
        assert re.search(r"\ninput +drift +importance +adds +to the drift\nitems .*█", text)


def test_an_incident_that_was_ended_keeps_its_cause(shop: Shop) -> None:
    incident = open_incident(shop)
    assert f"{incident}  drift  till        open    2030-01-21 00:00" in shop.done("incidents")
    assert "Cause: a sale [of all]" in shop.done("incidents", "resolve", incident, "--cause", "a sale [of all]")
    assert "2030-01-21 00:00, after 0 s" in shop.done("incidents", "show", incident)
    assert "No incident." in shop.done("incidents", "--open")


def test_an_outcome_may_be_negative(shop: Shop) -> None:
    text = shop.done("outcomes", "--prediction", PREDICTION, "--value", "-4.5")
    assert text == "Accepted 1 outcome.\n"


def test_outcomes_come_from_the_input_stream(shop: Shop) -> None:
    rows = jsonl({"prediction": PREDICTION, "value": 3, "known_at": "2030-01-20T00:00:00Z"})
    assert shop.json("outcomes", input=rows) == {"rows": 1}


def test_a_login_link_works_once(shop: Shop) -> None:
    ensure_admin(shop.folder / ".octavo")
    shop.announce("control", "http://127.0.0.1:8123")
    link = shop.done("login").strip()
    assert link.startswith("http://127.0.0.1:8123/login?token=")
    token_id = redeem_login(shop.folder / ".octavo", link.rpartition("=")[2])
    assert project_access(shop.folder / ".octavo").principal(token_id) is not None


def test_the_status_says_what_runs_and_what_waits(shop: Shop) -> None:
    shop.announce("control", "http://127.0.0.1:8123")
    text = shop.done("status")
    assert "It is 2030-01-21 00:00 UTC, by a replayed clock." in text
    assert "http://127.0.0.1:8123" in text
    assert text.count("not running") == 2


def test_the_status_says_how_much_waits_to_be_published(shop: Shop) -> None:
    keep_predictions(shop, n=2)
    published = {"OCTAVO_PREDICTOR_PUBLISH": "kafka://127.0.0.1:9092/shop.predictions"}
    assert "records of predictions wait to be published, since 2030-01-" in shop.run("status", **published).stdout
    assert "published" not in shop.done("status")


def test_all_commands_of_the_product_are_there() -> None:
    promised = (
        "new apply plan ingest materialize train models deployments serve up predict outcomes monitor incidents demo"
    )
    assert set(promised.split()) <= set(ENTRIES)
