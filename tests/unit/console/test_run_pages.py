"""The pages of runs: a pinned baseline, only what differs, histories, and files that no browser shows as a page."""

from dataclasses import replace

import pytest
from tests.showrooms import Showroom, full_showroom, run_id
from tests.showrooms.doors import Door, Html, browser
from tests.showrooms.releases import ROC

from octavo.console.charts.steps import Curve, sparkline, step_chart, thinned
from octavo.training.runs import Run, RunStatus


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return full_showroom(tmp_path_factory.mktemp("runs"), text="storms")


@pytest.fixture(scope="module")
def door(room: Showroom) -> Door:
    return browser(room)


def text(door: Door, path: str) -> str:
    answer = door.get(path)
    assert answer.status_code == 200, answer.text
    return Html(answer.text).text


def test_a_baseline_stays_on_top_with_the_distance_of_the_others(door: Door) -> None:
    html = door.get(f"/runs?base={run_id(7)}&model=arrival_delay").text
    shown = Html(html).text
    assert "the baseline" in shown
    assert "15.1 +0.2" in " ".join(shown.split())
    assert f"/runs?model=arrival_delay&amp;base={run_id(1)}" in html


def test_runs_are_filtered_and_sorted_by_what_they_logged(door: Door) -> None:
    links = [link for link in Html(door.get("/runs?where=metrics.mae+%3C+15&sort=-metrics.mae").text).links if link]
    assert f"/runs/{run_id(7)}" in links
    assert f"/runs/{run_id(1)}" not in links


def test_a_filter_that_cannot_be_read_is_told_beside_the_form(door: Door) -> None:
    shown = text(door, "/runs?where=nothing")
    assert "'nothing' is no field" in shown
    assert "Nothing has been trained" in shown


def test_why_a_run_failed_stands_in_its_row(door: Door) -> None:
    assert "ValueError: storms" in text(door, "/runs")


def test_a_run_shows_its_histories_its_parts_and_the_end_of_its_log(door: Door) -> None:
    html = door.get(f"/runs/{run_id(7)}").text
    assert 'aria-label="loss by step"' in html
    assert 'aria-label="History of loss"' in html
    shown = Html(html).text
    for part in ("Runs within it, or after it", "inner", "The end of its log", "plots/roc.svg", "Parameters"):
        assert part in shown
    inner = text(door, f"/runs/{run_id(8)}")
    assert "compare with it" in inner
    assert "was ended from outside: KeyboardInterrupt: storms" in inner


def test_a_comparison_shows_only_what_differs(door: Door) -> None:
    shown = text(door, f"/runs/compare?r.{run_id(7)}=1&r.{run_id(8)}=1")
    assert "depth" in shown
    assert "rate" not in shown
    assert "1 params" in shown
    assert "Pick two runs or more" in text(door, f"/runs/compare?r.{run_id(7)}=1")


def test_a_file_is_kept_by_the_browser_and_never_shown(door: Door) -> None:
    answer = door.get(f"/runs/{run_id(7)}/file?name=plots%2Froc.svg")
    assert answer.content == ROC
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''roc.svg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "plots", "octavo/absent.txt"])
def test_a_file_that_the_run_has_not_is_not_found(door: Door, name: str) -> None:
    assert door.get(f"/runs/{run_id(7)}/file", params={"name": name}).status_code == 404


def test_without_the_permission_there_is_no_file(room: Showroom) -> None:
    eve = browser(room, permissions=["audit:read"])
    assert eve.get(f"/runs/{run_id(7)}/file?name=plots%2Froc.svg").status_code == 403


def test_other_pages_keep_their_policy(door: Door) -> None:
    assert "sandbox" not in door.get("/runs").headers["content-security-policy"]


def test_a_long_history_is_drawn_with_its_peaks() -> None:
    points = [(step, 0.0) for step in range(10_000)]
    points[5_001] = (5_001, 7.0)
    points[9_000] = (9_000, float("nan"))
    drawn = thinned(points)
    assert len(drawn) <= 302
    assert (5_001, 7.0) in drawn
    assert drawn[0] == points[0]
    assert drawn[-1] == points[-1]


def test_what_cannot_be_drawn_is_no_chart() -> None:
    nothing = [(0, float("nan")), (1, float("inf"))]
    assert step_chart("loss", [Curve(name="a", points=nothing), Curve(name="b", points=[])]) == ""
    assert sparkline("loss", [(0, 1.0)]) == ""
    assert "nan" not in step_chart("loss", [Curve(name="a", points=[*nothing, (2, 1.0), (2**62, -1e300)])])


def test_a_lost_run_is_no_run_that_ended_well(room: Showroom, door: Door) -> None:
    with room.context.transaction() as tx:
        ended = tx.get(Run, run_id(7))
        assert ended is not None
        silent = "its process has not been heard of since 2030-01-01 12:00:00 UTC"
        tx.put(replace(ended, id=run_id(77), model="", experiment="alone", status=RunStatus.LOST, error=silent))
    assert f"This run of alone is lost: {silent}. If it is heard of after all" in text(door, f"/runs/{run_id(77)}")
    assert "The newest run of alone did not come to its end." in text(door, "/runs?where=experiment+%3D+%27alone%27")
