from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from octavo.cli.demo import folder as folders
from octavo.cli.demo.folder import Stage, opened
from octavo.cli.demo.plan import Plan
from octavo.errors import Conflict

PLAN = Plan(start=datetime(2030, 7, 1, 4, tzinfo=UTC), history_days=30, days=2)


@pytest.fixture
def trips(tmp_path: Path) -> Path:
    return tmp_path / "demo" / "trips"


@pytest.fixture
def interrupted(trips: Path) -> Path:
    """A demo that has its history and half a replay."""
    with opened(trips, PLAN, fresh=False) as place:
        place.finish(Stage.HISTORY, history=5)
        place.journal.write_bytes(b"\n")
        (trips / ".octavo").mkdir()
    return trips


def origin(path: Path, *, plan: Plan = PLAN, fresh: bool = False) -> str:
    with opened(path, plan, fresh=fresh) as place:
        return place.origin


def test_a_new_folder_holds_the_project(trips: Path) -> None:
    assert origin(trips) == "starts clean"
    assert {"project.py", "flights.py", "octavo.toml"} <= {file.name for file in trips.iterdir()}


def test_an_interrupted_demo_goes_on(interrupted: Path) -> None:
    with opened(interrupted, PLAN, fresh=False) as place:
        assert place.origin == "continues where it was interrupted"
        assert (place.is_done(Stage.HISTORY), place.is_done(Stage.MODELS), place.history) == (True, False, 5)
        assert place.journal.exists()


def test_one_that_was_interrupted_before_its_history_was_in_starts_clean(trips: Path) -> None:
    origin(trips)
    assert origin(trips) == "starts clean: the last one was interrupted while it was being set up"


def test_one_that_ran_to_its_end_starts_clean(interrupted: Path) -> None:
    with opened(interrupted, PLAN, fresh=False) as place:
        place.finish(Stage.REPLAY)
    assert origin(interrupted) == "starts clean: the last one ran to its end"
    assert not (interrupted / ".octavo").exists()
    assert not (interrupted / ".demo" / "journal.jsonl").exists()


def test_other_weeks_start_clean(interrupted: Path) -> None:
    assert origin(interrupted, plan=replace(PLAN, days=3)) == "starts clean: the last one was of other weeks"


def test_it_starts_clean_when_asked_to(interrupted: Path) -> None:
    assert origin(interrupted, fresh=True) == "starts clean: as was asked for"


def test_another_release_of_octavo_starts_clean(interrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "__version__", "999.0")
    assert origin(interrupted).startswith("starts clean: the last one was of Octavo 0")


def test_what_someone_made_of_the_project_is_not_written_over(interrupted: Path) -> None:
    (interrupted / "project.py").write_text("mine = 1", encoding="utf-8")
    with pytest.raises(Conflict, match=r"project\.py was changed since the demo wrote it"):
        origin(interrupted, fresh=True)
    assert (interrupted / "project.py").read_text(encoding="utf-8") == "mine = 1"


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(Conflict, match="holds something that no demo wrote"):
        origin(tmp_path)


def test_starting_clean_leaves_what_others_put_there(interrupted: Path) -> None:
    (interrupted / "notes.txt").write_text("mine", encoding="utf-8")
    origin(interrupted, fresh=True)
    assert (interrupted / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_two_demos_do_not_share_a_folder(trips: Path) -> None:
    with opened(trips, PLAN, fresh=False), pytest.raises(Conflict, match="a demo runs in"):
        origin(trips)
