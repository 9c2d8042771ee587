"""Models that are pickles: off, then only with a word, and in a process that can do nothing but answer."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests.serving.bundles import PLAN_OF_TESTS
from tests.workshop import Workshop, declare, in_transaction, open_workshop

import octavo as oc
from octavo.config import ModelSettings
from octavo.errors import IntegrityError, PredictionFailed, TrainingFailed
from octavo.processes import is_alive
from octavo.registry.bundles import Bundle, fetch_bundle
from octavo.registry.champions import bring_in
from octavo.registry.jail.opening import Jail
from octavo.registry.jail.process import JailedModel
from octavo.registry.jail.walls import WALLS
from octavo.registry.registration import register, verify_version
from octavo.registry.scanning import scan
from octavo.registry.served import open_served
from octavo.serving.models import load_model
from octavo.training.fit import train

PROJECT = """
import os, socket, time
import numpy as np


class Spending:
    # A model of the project's own, which misbehaves when it is told to.
    def __init__(self, each=3.0):
        self.each = each

    def predict(self, rows):
        told = rows[0, -1]
        if told == -1: raise ValueError("no such item")
        if told == -2: os._exit(3)
        if told == -3:
            while True: pass
        if told == -4: return np.zeros(len(rows) + 1)
        if told == -5: return np.array([float(len(bytearray(4_000_000_000)))] * len(rows))
        if told == -6: return np.array([float(connects(int(rows[0, 0])))] * len(rows))
        if told == -7: return np.array([float(_writes())] * len(rows))
        if told == -8: return np.array([float(_sees_keys())] * len(rows))
        if told == -9: return np.array([float(len(os.environ.get("OCTAVO_SECRET", "")))] * len(rows))
        if told == -10: return np.array([float(_touches(int(rows[0, 0])))] * len(rows))
        if told == -11: return np.array([float(_undoes())] * len(rows))
        return np.nan_to_num(rows[:, -1]) * self.each


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return 0
    return 1


def _writes():
    done = 0
    for place in ("/tmp/octavo-jail-escape", "/var/tmp/octavo-jail-escape", "here"):
        try:
            open(place, "w").write("x"); done += 1
        except OSError:
            pass
    return done


def _touches(pid):
    done = 0
    try:
        os.kill(pid, 0); done += 1
    except OSError:
        pass
    try:
        open(f"/proc/{pid}/environ", "rb").read(); done += 1
    except OSError:
        pass
    return done


def _undoes():
    import ctypes
    libc = ctypes.CDLL(None)
    for again in range(2):
        libc.umount2(HIDDEN.encode(), 2)
        libc.mount(None, b"/", None, 0x20 | 0x1000, None)
        libc.unshare(0x10000000 | 0x00020000)
    return _sees_keys() + _writes()


def _sees_keys():
    return sum(len(files) for _, _, files in os.walk(HIDDEN))
"""


@pytest.fixture(scope="module")
def project() -> Iterator[ModuleType]:
    """The project's module, under the name that it has when it is loaded."""
    module = ModuleType("octavo_project_project")
    sys.modules[module.__name__] = module
    exec(PROJECT, vars(module))
    yield module
    del sys.modules[module.__name__]


def pickled(thing: Any) -> bytes:
    import pickle

    return pickle.dumps(thing)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A platform's own folder with a key in it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "keys").mkdir()
    (folder / "keys" / "release.key").write_text("canary", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def jail(place: Path) -> Jail:
    return Jail(memory_bytes=1_000_000_000, timeout_s=2.0, hidden=place)


@pytest.fixture(scope="module")
def model(jail: Jail, project: ModuleType, place: Path) -> Iterator[JailedModel]:
    code = f"HIDDEN = {str(place)!r}\n{PROJECT}"
    opened = jail.open(pickled(project.Spending()), PLAN_OF_TESTS, code={"project.py": code.encode()})
    yield opened
    opened.close()


def told(number: float, rows: int = 2) -> np.ndarray:
    return np.full((rows, 5), number)


def test_it_answers_as_the_model_does(model: JailedModel) -> None:
    assert model(told(4.0)).tolist() == [12.0, 12.0]


def test_all_walls_stand_where_the_system_allows_it(model: JailedModel) -> None:
    assert set(model.walls) <= set(WALLS)
    assert "memory" in model.walls
    if _may_unshare():
        assert model.walls == WALLS


def _may_unshare() -> bool:
    command = ["unshare", "-Urnmpf", "--mount-proc", "true"]
    return sys.platform == "linux" and subprocess.run(command, capture_output=True).returncode == 0


def test_what_it_raises_is_said(model: JailedModel) -> None:
    with pytest.raises(PredictionFailed, match="raised ValueError: no such item"):
        model(told(-1))
    assert model(told(1.0)).tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("number", "reason"), [(-2, "its process ended"), (-3, "gave no answer within 2 s"), (-4, "answered shape")]
)
def test_what_takes_it_down_takes_down_nothing_else(model: JailedModel, number: float, reason: str) -> None:
    with pytest.raises(PredictionFailed, match=reason):
        model(told(number))
    assert recovered(model).tolist() == [3.0, 3.0]


def recovered(model: JailedModel) -> np.ndarray:
    for _ in range(500):
        try:
            return model(told(1.0))
        except PredictionFailed:
            time.sleep(0.02)
    raise AssertionError("it did not come back")


def test_it_has_no_more_memory_than_it_is_given(model: JailedModel) -> None:
    with pytest.raises(PredictionFailed, match="MemoryError"):
        model(told(-5))


def test_it_reaches_no_network(model: JailedModel, project: ModuleType) -> None:
    if "network" not in model.walls:
        pytest.skip("this system does not allow to shut a process off from the network")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert project.connects(port) == 1, "from here it can be reached"
        asked = told(-6)
        asked[:, 0] = port
        assert model(asked).tolist() == [0.0, 0.0]


def test_it_changes_no_file(model: JailedModel) -> None:
    if "files" not in model.walls:
        pytest.skip("this system does not allow to close files to a process")
    assert model(told(-7)).tolist() == [0.0, 0.0]
    assert not Path("/tmp/octavo-jail-escape").exists()


def test_it_sees_no_key_of_the_platform(model: JailedModel, place: Path) -> None:
    if "files" not in model.walls:
        pytest.skip("this system does not allow to hide files from a process")
    assert (place / "keys" / "release.key").exists()
    assert model(told(-8)).tolist() == [0.0, 0.0]


def test_it_touches_no_other_process(model: JailedModel) -> None:
    if "processes" not in model.walls:
        pytest.skip("this system does not allow to hide processes from a process")
    asked = told(-10)
    asked[:, 0] = os.getpid()
    assert model(asked).tolist() == [0.0, 0.0]


def test_it_cannot_take_its_walls_down(model: JailedModel) -> None:
    if "files" not in model.walls:
        pytest.skip("this system does not allow to close files to a process")
    assert model(told(-11)).tolist() == [0.0, 0.0]
    assert not Path("/tmp/octavo-jail-escape").exists()


def test_it_has_nothing_of_the_environment(jail: Jail, project: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTAVO_SECRET", "canary")
    opened = jail.open(pickled(project.Spending()), PLAN_OF_TESTS, code={"project.py": PROJECT.encode()})
    assert opened(told(-9)).tolist() == [0.0, 0.0]
    opened.close()


class Hostile:
    """Runs something when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.system, (f"touch {self.path}",))


def test_a_pickle_that_attacks_when_it_is_opened_changes_nothing(jail: Jail, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="an int has no method predict"):
        jail.open(pickled(Hostile(tmp_path / "owned")), PLAN_OF_TESTS, code={})
    if "files" in walls_here(jail):
        assert not (tmp_path / "owned").exists()


def walls_here(jail: Jail) -> tuple[str, ...]:
    from sklearn.dummy import DummyRegressor

    opened = jail.open(pickled(DummyRegressor()), PLAN_OF_TESTS, code={})
    opened.close()
    return opened.walls


def test_what_is_no_pickle_is_refused(jail: Jail) -> None:
    with pytest.raises(IntegrityError, match="the pickle cannot be opened"):
        jail.open(b"not a pickle", PLAN_OF_TESTS, code={})


def test_its_process_ends_with_whoever_asks(jail: Jail, project: ModuleType) -> None:
    opened = jail.open(pickled(project.Spending()), PLAN_OF_TESTS, code={"project.py": PROJECT.encode()})
    pid = opened.pid
    assert pid is not None
    del opened
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(pid)


# The scanner.


def test_a_scan_says_what_a_pickle_would_import() -> None:
    import collections

    found = scan(pickled(collections.OrderedDict(a=1)))
    assert (found.imports, found.is_clean) == (("collections.OrderedDict",), True)


def test_a_scan_finds_what_no_model_needs(tmp_path: Path) -> None:
    found = scan(pickled(Hostile(tmp_path)))
    assert found.findings in (("posix.system",), ("nt.system",))
    assert not found.is_clean


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b\x08", pickled([1])[:-1], pickled([1]) + b"more", b"x\x9c"])
def test_what_was_skipped_is_not_clean(data: bytes) -> None:
    found = scan(data)
    assert found.status == "skipped"
    assert not found.is_clean


# From training to serving.


def spending(train: oc.Dataset) -> Any:
    """A model of the project's own class."""
    each = float(np.nansum(train.y) / np.nansum(train.X[:, -1]))
    return oc.pickled(sys.modules["octavo_project_project"].Spending(each))  # type: ignore[attr-defined]  # made by a fixture


def workshop_with(folder: Path, *, allow: bool) -> Workshop:
    workshop = open_workshop(folder, declare(spending))
    context = workshop.context
    config = replace(context.config, models=ModelSettings(allow_pickle=allow))
    project = replace(context.project, code={"project.py": PROJECT})
    return Workshop(replace(context, config=config, project=project), workshop.model)


def test_a_pickle_is_refused_where_it_is_not_allowed(tmp_path: Path, project: ModuleType) -> None:
    workshop = workshop_with(tmp_path, allow=False)
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    with pytest.raises(TrainingFailed, match=r"\[models\] allow_pickle is off"):
        register(workshop.context, trained, champion=None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, project: ModuleType) -> tuple[Workshop, Any]:
    """A workshop that allows pickles, and a version that is one."""
    workshop = workshop_with(tmp_path_factory.mktemp("shop"), allow=True)
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    return workshop, register(workshop.context, trained, champion=None)


def bundle_of(workshop: Workshop, version: Any) -> Bundle:
    folder = workshop.context.config.root / "bundles"
    return fetch_bundle(workshop.context.stores.artifacts, version.digest, into=folder)


def test_nobody_opens_a_pickle_by_the_way(made: tuple[Workshop, Any]) -> None:
    bundle = bundle_of(*made)
    assert bundle.manifest.format == "pickle"
    with pytest.raises(IntegrityError, match="is a pickle, which is code"):
        open_served(bundle.manifest, bundle.plan, read=bundle.read)
    with pytest.raises(IntegrityError, match="is a pickle, which is code"):
        load_model(bundle)


def test_in_a_jail_it_answers_its_golden_rows(made: tuple[Workshop, Any]) -> None:
    workshop, version = made
    bundle = bundle_of(workshop, version)
    loaded = load_model(bundle, jail=Jail.of(workshop.context.config))
    rows = loaded.reference
    np.testing.assert_allclose(loaded.run(rows), bundle.golden.expected[: len(rows)], rtol=1e-6)


def test_it_is_released_only_with_a_persons_word(made: tuple[Workshop, Any]) -> None:
    from octavo.registry.bundle_operations import ApproveUnsafe, approve_unsafe

    workshop, version = made
    assert "nobody has approved that it runs" in verify_version(workshop.context, version)
    request = ApproveUnsafe(model=version.model, version=version.version, note="read by two of us")
    word = in_transaction(workshop, approve_unsafe, request)
    assert (word.by, word.digest) == ("system", version.digest)
    assert verify_version(workshop.context, version) == ""
    forbidden = replace(workshop.context, config=replace(workshop.context.config, models=ModelSettings()))
    assert "allow_pickle is off" in verify_version(forbidden, version)


def test_a_challenger_is_compared_with_a_live_pickle(made: tuple[Workshop, Any]) -> None:
    workshop, version = made
    context = workshop.context
    again = train(context, workshop.model, as_of=workshop.now)
    rows, task = again.training_set.holdout, workshop.model.task
    compared = bring_in(context.stores.artifacts, version, rows, task=task, jail=Jail.of(context.config))
    assert compared.predictions is not None
    refused = bring_in(context.stores.artifacts, version, rows, task=task)
    assert "is a pickle, which is code" in refused.why
