"""Every page: over a project in which something of everything happened, over one with nothing, over hostile text."""

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from html import escape

import msgspec
import pytest
from tests.showrooms import HOSTILE, Showroom, empty_showroom, full_showroom, incident_id, prediction_id, run_id
from tests.showrooms.doors import Door, Html, browser
from tests.showrooms.moments import call_id

from octavo.console.pages import all_pages
from octavo.console.pages.monitoring import verdict
from octavo.monitoring.incidents import Incident, IncidentKind
from octavo.monitoring.looks import Look
from octavo.monitoring.operations import MonitoringDetails, Thresholds
from octavo.processes import announce, withdraw
from octavo.serving.status import ModelStatus, PredictorStatus, write_atomically

ADDRESSES = {
    "/": ["/"],
    "/incidents": ["/incidents"],
    "/incidents/{incident}": [f"/incidents/{incident_id(place)}" for place in range(3)],
    "/sources": ["/sources"],
    "/features": ["/features"],
    "/features/{view}": ["/features/origin_landings", "/features/plane_landings"],
    "/runs": [
        "/runs",
        "/runs?model=arrival_delay",
        f"/runs?base={run_id(7)}&where=metrics.mae+%3E+1&sort=-metrics.mae",
        "/runs?where=%3Cb%3E",
    ],
    "/runs/compare": [f"/runs/compare?ids={run_id(1)},{run_id(7)},{run_id(8)}&base={run_id(8)}"],
    "/runs/{run}": [f"/runs/{run_id(place)}" for place in (1, 5, 6, 7, 8)],
    "/models": ["/models"],
    "/models/{model}": ["/models/arrival_delay", "/models/arrives_late"],
    "/models/{model}/{version}": [f"/models/arrival_delay/{v}" for v in range(1, 5)] + ["/models/arrives_late/2"],
    "/deployments": ["/deployments"],
    "/deployments/{deployment}": ["/deployments/eta", "/deployments/late", "/deployments/spare"],
    "/composites": ["/composites"],
    "/composites/{composite}": ["/composites/trouble"],
    "/approvals": ["/approvals"],
    "/monitoring": ["/monitoring"],
    "/monitoring/{deployment}": [f"/monitoring/{of}" for of in ("eta", "eta?inputs=all", "late", "spare")],
    "/predictions": [
        "/predictions",
        "/predictions?deployment=eta&entity=origin%3DJFK",
        "/predictions?deployment=spare",
        "/predictions?deployment=trouble",
    ],
    "/predictions/{prediction}": [f"/predictions/{of}" for of in (*map(prediction_id, (0, 40, 41)), call_id(0))],
    "/lineage": [
        "/lineage",
        "/lineage?node=source%3Alandings&depth=5",
        "/lineage?node=arrival_delay%2F2",
        f"/lineage?node={prediction_id(0)}&depth=8",
        "/lineage?node=nothing",
    ],
    "/history": ["/history", "/history?deployment=eta", "/history?at=2013-05-01+00%3A00", "/history?at=once"],
    "/audit": ["/audit", "/audit?show=all", "/audit?operation=releases.&outcome=done", "/audit?actor=nobody"],
    "/access": ["/access"],
    "/system": ["/system"],
}
FILES = {"/runs/{run}/file"}
PLACES = [place for places in ADDRESSES.values() for place in places]
ALWAYS_THERE = [page.path for page in all_pages() if page.method == "GET" and "{" not in page.path]
DECLARED = ["/models/arrival_delay", "/monitoring/eta", "/features/origin_landings"]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return full_showroom(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def full(room: Showroom) -> Door:
    return browser(room)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Door:
    return browser(full_showroom(tmp_path_factory.mktemp("hostile"), text=HOSTILE))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Door:
    return browser(empty_showroom(tmp_path_factory.mktemp("empty")))


def page(door: Door, path: str) -> Html:
    answer = door.get(path)
    assert answer.status_code == 200, answer.text
    return Html(answer.text)


def test_every_page_is_tried_here() -> None:
    assert set(ADDRESSES) | FILES == {page.path for page in all_pages() if page.method == "GET"}


@pytest.mark.parametrize("path", PLACES)
def test_a_page_says_where_it_is(full: Door, path: str) -> None:
    found = page(full, path)
    tags = [tag for tag, _ in found.elements]
    assert tags.count("h1") == tags.count("main") == 1
    assert ("a", {"class": "skip", "href": "#content"}) in found.elements
    current = [attributes for tag, attributes in found.elements if attributes.get("aria-current") == "page"]
    assert len(current) == 1


@pytest.mark.parametrize("path", PLACES)
def test_hostile_text_stays_text(hostile: Door, path: str) -> None:
    found = page(hostile, path)
    assert not [attributes for tag, attributes in found.elements if tag == "img" and attributes["src"] == "x"]
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert "49" not in found.text.split()


@pytest.mark.parametrize("path", ["/deployments/eta", "/models/arrival_delay/2", "/audit", f"/runs/{run_id(5)}"])
def test_hostile_text_is_shown_as_it_was_written(hostile: Door, path: str) -> None:
    assert "<img src=x onerror=alert(1)>" in page(hostile, path).text


@pytest.mark.parametrize("path", PLACES)
def test_a_page_holds_no_script_and_no_style(full: Door, path: str) -> None:
    found = page(full, path)
    assert not [tag for tag, attributes in found.elements if tag in ("script", "style") or "style" in attributes]
    assert not [link for link in found.links if re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("path", PLACES)
def test_a_page_is_fit_for_those_who_hear_it(full: Door, path: str) -> None:
    for tag, attributes in page(full, path).elements:
        if tag == "th":
            assert attributes["scope"] in ("col", "row")
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        if tag == "time":
            assert attributes["datetime"]
        if tag == "input" and attributes.get("type") != "hidden":
            assert attributes["id"]


@pytest.mark.parametrize("path", PLACES)
def test_every_status_is_a_shape_and_a_word(full: Door, path: str) -> None:
    text = full.get(path).text
    for _, inside in re.findall(r'<span class="status ([a-z]+)">(.*?)</span>', text, re.DOTALL):
        assert inside.startswith("<svg")
        assert re.sub(r"<.*>", "", inside).strip()


@pytest.mark.parametrize("path", [*ALWAYS_THERE, *DECLARED])
def test_an_empty_project_is_told_what_to_do_next(empty: Door, path: str) -> None:
    found = page(empty, path)
    assert "None" not in found.text.split()
    if path in ("/", "/deployments", "/models/arrival_delay", "/predictions", "/runs", "/audit", "/incidents"):
        assert "octavo " in found.text


def test_home_says_first_what_needs_someone(full: Door, empty: Door) -> None:
    needed = "1 incident open, 1 release waiting for approval and 1 failed run; 1 release in progress."
    assert needed in page(full, "/").text
    assert "No model answers yet." in page(empty, "/").text


def test_a_release_in_progress_shows_its_way_and_its_end(full: Door) -> None:
    found = page(full, "/deployments/eta")
    assert "Version 4 answers 10 % of the requests beside version 2." in found.text
    assert "canary, 50 %" in found.text
    assert "End this release" in found.text


def test_a_composite_shows_what_its_nodes_said(full: Door) -> None:
    found = page(full, "/composites/trouble")
    assert "Version 2 answers with the value of its last node, worst." in found.text
    assert "late arrives_late 1" in found.text
    assert "is_far 1 0.5" in found.text, "asked where, of how many newest calls, and their median"
    assert "everywhere 3 8" in found.text
    assert {"/deployments/eta", "/models/arrival_delay/2", f"/predictions/{call_id(3)}"} <= set(found.links)
    call = page(full, f"/predictions/{call_id(0)}").text
    assert "Composite trouble , version 2" in call
    assert "What its nodes said Node Value Prediction Version eta 12.0 late 0.5 worst 42.0" in call


def test_a_version_that_failed_a_gate_says_so_first(full: Door) -> None:
    assert "It cannot be released: better_than_baseline(mae) failed" in page(full, "/models/arrival_delay/3").text


def test_a_version_shows_its_gates_as_they_stand(full: Door) -> None:
    text = page(full, "/models/arrival_delay/3").text
    assert "replays(last=1000) not judged" in text
    assert "Waived by ada" in text
    assert "until the season ends" in text


def test_a_version_is_shown_beside_the_live_one(full: Door) -> None:
    text = page(full, "/models/arrival_delay/3").text
    assert "Beside version 2" in text
    assert "version 2 may have learned from 31" in text
    assert "−1.20 (−2.00 to −0.3)" in text
    assert "could not be compared: version 1 takes" in page(full, "/models/arrival_delay/2").text


def test_a_version_shows_where_it_does_worse_and_what_moves_it(full: Door) -> None:
    text = page(full, "/models/arrival_delay/3").text
    assert "Of 64 parts of the held-out rows" in text
    assert "carrier = storms over the north-east worse 612" in text
    assert "What it answers as an input moves" in text
    assert "Confusion" not in text


def test_a_classifier_shows_its_decisions(full: Door) -> None:
    text = page(full, "/models/arrives_late/2").text
    for words in ("What it tells apart", "Precision and recall", "Confusion at 0.5", "greatest f1", "1 910"):
        assert words in text


def test_a_version_of_before_there_were_details_is_shown_without(full: Door) -> None:
    text = page(full, "/models/arrival_delay/1").text
    assert "Where it does worse" not in text
    assert "Inputs, by importance" in text


def test_a_version_that_was_fitted_elsewhere_says_where_and_what_it_may_have_seen(full: Door) -> None:
    found = page(full, "/models/arrival_delay/1")
    assert "Fitted by" in found.text
    assert "7 of the held-out rows, which are older than the model" in found.text
    assert "Rows to compare with" in found.text
    assert "Fitted by" not in page(full, "/models/arrival_delay/2").text


def test_a_prediction_shows_inputs_outcome_and_shadow(full: Door) -> None:
    found = page(full, f"/predictions/{prediction_id(40)}")
    assert "plane_landings__arr_delay_latest" in found.text
    assert "stale" in found.text
    assert "known 1" in found.text
    assert "What a shadow said" in found.text
    assert "what came of it is not known yet" in page(full, f"/predictions/{prediction_id(0)}").text


def test_the_system_shows_the_models_in_memory_and_who_needs_them(full: Door, room: Showroom) -> None:
    home = room.context.config.home
    models = (
        ModelStatus(model="arrival_delay", version=7, digest="sha256:7", size_bytes=34_000_000, deployments=("eta",)),
        ModelStatus(model="arrival_delay", version=8, digest="sha256:8", size_bytes=1_000),
    )
    write_atomically(home / "predictor" / "status.json", msgspec.json.encode(PredictorStatus(pid=1, models=models)))
    announce(home, "predictor", host="127.0.0.1", port=8081)
    text = page(full, "/system").text
    withdraw(home, "predictor")
    assert "arrival_delay 7 34.0 MB eta" in text
    assert "nobody now; kept for a while" in text


def test_an_id_leads_to_its_prediction(full: Door) -> None:
    answer = full.get("/predictions", params={"id": f" {prediction_id(3)} "})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/predictions/{prediction_id(3)}")
    assert full.get("/predictions/nothing").status_code == 404


def test_pages_of_predictions_follow_each_other_without_gap(full: Door) -> None:
    seen: list[str] = []
    path: str | None = "/predictions?deployment=eta"
    for _ in range(3):
        assert path is not None
        links = page(full, path).links
        seen += [link for link in links if re.match(r"/predictions/[0-9a-f-]{36}$", link)]
        path = next(link for link in links if "before=" in link)
    assert seen == [f"/predictions/{prediction_id(place)}" for place in range(150)]


def test_an_absurd_filter_is_refused_on_the_page_itself(full: Door) -> None:
    answer = full.get("/predictions", params={"deployment": "eta", "entity": "nonsense"})
    assert answer.status_code == 422
    assert "names no entity" in answer.text
    assert 'value="nonsense"' in answer.text


@pytest.mark.parametrize(
    ("permissions", "open_to", "closed"),
    [
        (["models:read"], ["/models", "/models/arrival_delay/2", "/runs"], "/deployments"),
        (["deployments:read"], ["/", "/deployments", "/deployments/eta"], "/audit"),
        (["predictions:read"], ["/predictions?deployment=eta", f"/predictions/{prediction_id(40)}"], "/models"),
        (["monitoring:read"], ["/monitoring/eta"], "/incidents"),
        (["incidents:read"], ["/incidents", f"/incidents/{incident_id(2)}"], "/monitoring"),
    ],
)
def test_a_visitor_with_one_permission_sees_its_pages(
    room: Showroom, permissions: Collection[str], open_to: list[str], closed: str
) -> None:
    visitor = browser(room, permissions=permissions)
    for path in open_to:
        page(visitor, path)
    assert visitor.get(closed).status_code == 403
    assert escape(closed) not in page(visitor, open_to[0]).links


def test_buttons_are_not_offered_to_those_who_may_not_press_them(room: Showroom) -> None:
    visitor = browser(room, permissions=["deployments:read", "monitoring:read"])
    found = page(visitor, "/deployments/eta")
    assert not [a for tag, a in found.elements if tag == "form" and (a["action"] or "").startswith("/deployments")]
    assert "releases:write" in found.text


def test_a_deployment_shows_how_training_and_serving_compare(full: Door) -> None:
    text = page(full, "/monitoring/eta").text
    assert "Training and serving, compared" in text
    assert "900 predictions; 2 of 900 values are not what the events say." in text
    assert "landings flight=storms over the north-east" in text


def test_an_open_incident_is_told_where_the_newest_look_says_nothing_of_it() -> None:
    now = datetime(2013, 7, 12, tzinfo=UTC)
    look = Look(deployment="eta", model="arrival_delay", version=1, at=now, since=now)
    open_one = Incident(
        id=incident_id(0), deployment="eta", model="arrival_delay", version=1, incident_kind=IncidentKind.PERFORMANCE,
        subject="mae", value=0.3, threshold=0.2, opened_at=now, cause="",
    )  # fmt: skip
    quiet = MonitoringDetails(
        deployment="eta", model="arrival_delay", version=1, metric="mae", held_out=None,
        thresholds=Thresholds(drift=0.25, degradation=0.25, missing=0.2, min_rows=200),
        every_s=60, window_s=60, looks=(look,), incidents=(),
    )  # fmt: skip
    assert verdict(quiet, look)[0].word == "too little"
    status, text = verdict(replace(quiet, incidents=(open_one,)), look)
    assert (status.word, text) == ("1 incident", "Still open: performance (mae is worse than on the held-out rows).")


def test_a_deployment_that_was_never_audited_shows_no_audit(full: Door) -> None:
    assert "Training and serving, compared" not in page(full, "/monitoring/late").text


def test_the_page_of_sources_shows_what_could_not_be_taken_and_what_to_do(full: Door) -> None:
    text = Html(full.get("/sources").text).text
    assert "1 could not be taken and wait" in text
    assert "origin: storms over the north-east" in text
    assert "octavo events replay landings" in text


def test_a_visitor_who_may_not_read_events_sees_sources_without_dead_letters(room: Showroom) -> None:
    text = Html(browser(room, permissions=["features:read"]).get("/sources").text).text
    assert "landings" in text
    assert "could not be taken" not in text
