"""Functions in a process of their own: what they do wrong there ends nothing but that process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import uvloop

from octavo.config import PredictorSettings
from octavo.definitions.types import DType
from octavo.errors import ConfigurationError, IntegrityError, PredictionFailed, Unavailable
from octavo.features.answers import Said
from octavo.processes import is_alive
from octavo.serving.apart.functions import Apart, FunctionsApart
from octavo.serving.code import Code, Proof, run_here
from tests.serving.processes import until

PATIENT = PredictorSettings(code_timeout_ms=20_000)
HASTY = PredictorSettings(code_timeout_ms=200)
FUNCTIONS = """
import ctypes, os, sys, time
import numpy as np
import octavo as oc

kept = []


@oc.on_demand
def odd(number):
    told = number[0]
    if told == 1: raise ValueError("no such number")
    if told == 2: os._exit(3)
    if told == 3: ctypes.string_at(0)
    if told == 4:
        while True: pass
    if told == 5: kept.append(np.ones(100_000_000))
    if told == 6: return np.zeros(50_000_000)
    if told == 7: return number[:, None]
    if told == 8: print("x" * 1_000_000, flush=True)
    if told == 9: os.closerange(3, 4096); time.sleep(60)
    if told == 10:
        for descriptor in range(3, 4096):
            try: os.write(descriptor, b"anything")
            except OSError: pass
    if told == 11: sys.exit(5)
    if told == 12: time.sleep(0.05)
    return number * 2


@oc.on_demand
def more(odd, number, text, at):
    number[:] = number + 1
    return odd + number + np.array([len(one or "") for one in text]) + at.astype("int64")
"""
AFTER = """
import time
import numpy as np
import octavo as oc


@oc.after_model
def calibrated(words, prediction, number):
    if (number == 4).any():
        while True: pass
    if (number == 7).any(): return number[:, None]
    prediction[:] = prediction + number
    return prediction + np.array([len(word or "") for word in words])
"""
Check = Callable[[FunctionsApart], Coroutine[Any, Any, None]]


def code(folder: Path, text: str = FUNCTIONS, **changes: Any) -> Code:
    """The code of two functions, of which one takes the other's values."""
    path = folder / f"project{len(list(folder.iterdir()))}.py"
    path.write_text(text, encoding="utf-8")
    fields: dict[str, Any] = {
        "of": "model 'm'",
        "modules": ((path.stem, str(path), text.encode()),),
        "functions": (("more", ("odd", "number", "text", "at")), ("odd", ("number",))),
        "dtypes": {"text": DType.STRING, "at": DType.TIMESTAMP},
        "digest": "d",
    }
    return Code(**{**fields, **changes})


def columns(*numbers: float) -> dict[str, npt.NDArray[Any]]:
    texts = np.empty(len(numbers), object)
    texts[:] = ["é", None, *["abc"] * len(numbers)][: len(numbers)]
    return {"number": np.array(numbers), "text": texts, "at": np.zeros(len(numbers), "datetime64[us]")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("code")


@pytest.fixture(scope="module")
def patient(folder: Path) -> FunctionsApart:
    return opened(Apart(PATIENT), code(folder))


def opened(apart: Apart, code: Code) -> FunctionsApart:
    functions = apart.open(code)
    assert isinstance(functions, FunctionsApart)
    return functions


def run(functions: FunctionsApart, check: Check) -> None:
    """Have a check run in a loop as a predictor's."""
    uvloop.run(check(functions))


async def recovered(functions: FunctionsApart) -> None:
    """Wait until it answers again, as it did."""
    for _ in range(3_000):
        try:
            answer = await functions.compute(columns(20), 1)
        except Unavailable:
            await asyncio.sleep(0.01)
        else:
            assert answer["odd"].tolist() == [40.0]
            return
    raise AssertionError("it does not answer any more")


@pytest.mark.parametrize("n_rows", [1, 3, 70_000])
def test_they_answer_as_they_do_here(patient: FunctionsApart, folder: Path, n_rows: int) -> None:
    async def check(functions: FunctionsApart) -> None:
        numbers = np.arange(20.0, 20 + n_rows).tolist()
        apart, here = await functions.compute(columns(*numbers), n_rows), run_here(code(folder))
        expected = await here.compute(columns(*numbers), n_rows)
        assert set(apart) == {"more", "odd"}
        for name, values in apart.items():
            np.testing.assert_array_equal(values, expected[name])

    run(patient, check)


def test_one_alone_takes_what_it_is_given(patient: FunctionsApart) -> None:
    async def check(functions: FunctionsApart) -> None:
        given = {**columns(20), "odd": np.array([100.0])}
        assert (await functions.compute(given, 1, only="more"))["more"].tolist() == [100 + 21 + 1]

    run(patient, check)


def test_many_questions_at_once_get_each_its_own_answer(patient: FunctionsApart) -> None:
    async def check(functions: FunctionsApart) -> None:
        answers = await asyncio.gather(*(functions.compute(columns(n), 1) for n in range(20, 520)))
        assert [answer["odd"].item() for answer in answers] == [2.0 * n for n in range(20, 520)]

    run(patient, check)


def test_a_caller_who_is_gone_disturbs_nobody(patient: FunctionsApart) -> None:
    async def check(functions: FunctionsApart) -> None:
        gone = asyncio.create_task(functions.compute(columns(12), 1))
        staying = asyncio.create_task(functions.compute(columns(20), 1))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await staying)["odd"].tolist() == [40.0]

    run(patient, check)


@pytest.mark.parametrize(
    ("number", "why"),
    [(1, "ValueError: no such number"), (6, r"of shape \(50000000,\) for 1 rows"), (7, r"of shape \(1, 1\)")],
)
def test_one_that_fails_fails_alone(patient: FunctionsApart, number: int, why: str) -> None:
    async def check(functions: FunctionsApart) -> None:
        restarts = functions.kept.counts.restarts
        failed, good = await asyncio.gather(
            functions.compute(columns(number), 1), functions.compute(columns(20), 1), return_exceptions=True
        )
        assert isinstance(good, dict)
        assert functions.kept.counts.restarts == restarts
        assert isinstance(failed, PredictionFailed)
        with pytest.raises(PredictionFailed, match=why):
            raise failed

    run(patient, check)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (2, "ended with 3"),
        (3, "was ended by SIGSEGV"),
        (5, r"needed more memory than \[predictor\] code_memory allows"),
        (9, "was ended by SIGKILL"),
        (10, "said what is no answer"),
        (11, "ended with 5"),
    ],
)
def test_one_that_takes_its_process_down_is_told_why_and_started_again(
    patient: FunctionsApart, number: int, why: str
) -> None:
    async def check(functions: FunctionsApart) -> None:
        await recovered(functions)
        with pytest.raises(Unavailable, match=f"functions of model 'm' failed: their process {why}"):
            await functions.compute(columns(number), 1)
        with pytest.raises(Unavailable, match=f"are not there now, because their process {why}"):
            await functions.compute(columns(20), 1)
        await recovered(functions)

    run(patient, check)


def test_what_they_print_goes_nowhere(patient: FunctionsApart, capfd: pytest.CaptureFixture[str]) -> None:
    async def check(functions: FunctionsApart) -> None:
        await recovered(functions)
        assert (await functions.compute(columns(8), 1))["odd"].tolist() == [16.0]

    run(patient, check)
    assert capfd.readouterr() == ("", "")


def test_one_that_hangs_is_ended_at_its_deadline_and_those_behind_it_are_told(folder: Path) -> None:
    async def check(functions: FunctionsApart) -> None:
        asked = [asyncio.create_task(functions.compute(columns(number), 1)) for number in (4, 20)]
        for one in asked:
            with pytest.raises(Unavailable, match="gave no answer within 200 ms"):
                await one
        assert functions.kept.counts.timeouts == 1
        await recovered(functions)

    run(opened(Apart(HASTY), code(folder)), check)


def test_pauses_between_starts_grow(folder: Path) -> None:
    async def check(functions: FunctionsApart) -> None:
        pauses_s = []
        for _ in range(3):
            await recovered(functions)
            pauses_s.append(functions.kept.pause_s)
            with pytest.raises(Unavailable):
                await functions.compute(columns(2), 1)
        assert pauses_s[1] == 2 * pauses_s[0]
        assert pauses_s[2] == 2 * pauses_s[1]

    run(opened(Apart(PATIENT), code(folder)), check)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1/0", r"failed to load: ZeroDivisionError: division by zero"),
        ("import os; os._exit(7)", "its process ended with 7"),
        ("import ctypes; ctypes.string_at(0)", "its process was ended by SIGSEGV"),
        ("import numpy; numpy.ones(100_000_000)", "its process needed more memory than"),
        ("raise SystemExit(3)", "it raised SystemExit: 3"),
        ("import octavo", "lacks the on-demand features more, odd"),
        (FUNCTIONS.replace("def odd(number)", "def odd(text)"), "'odd' takes text in the code, and number in the plan"),
    ],
)
def test_code_that_does_not_load_is_refused_with_the_reason(folder: Path, text: str, why: str) -> None:
    with pytest.raises(IntegrityError, match=f"the code of model 'm' cannot be used: .*{why}"):
        Apart(PATIENT).open(code(folder, text))


def test_code_that_hangs_while_it_loads_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octavo.serving.apart.kept._LOAD_S", 1.0)
    with pytest.raises(IntegrityError, match="its process was not ready within 1 s"):
        Apart(PATIENT).open(code(folder, "while True: pass"))


def test_the_process_has_no_setting_and_no_descriptor_of_the_predictors(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCTAVO_TOKEN", "secret")
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    read, write = os.pipe()
    os.set_inheritable(write, True)
    functions = opened(Apart(PATIENT), code(folder))
    proc = Path(f"/proc/{functions.kept.pid}")
    try:
        assert b"secret" not in (proc / "environ").read_bytes()
        assert not [
            one for one in (proc / "fd").iterdir() if one.readlink() == Path(f"/proc/self/fd/{write}").readlink()
        ]
        assert "octavo-functions-" in (proc / "cwd").readlink().name
        assert list((proc / "cwd").iterdir()) == []
    finally:
        os.close(read)
        os.close(write)


def test_what_became_of_processes_is_counted_by_whose_they_are(folder: Path) -> None:
    apart = Apart(HASTY)

    async def check(functions: FunctionsApart) -> None:
        with pytest.raises(Unavailable):
            await functions.compute(columns(4), 1)
        await recovered(functions)
        restarts, timeouts, memory = (family.samples[0] for family in apart.families())
        assert (restarts.value, timeouts.value, restarts.labels) == (1, 1, {"of": "model 'm'", "code": "d"})
        assert memory.value > 1_000_000

    run(opened(apart, code(folder)), check)


def test_versions_with_the_same_code_share_a_process_which_ends_with_the_last(folder: Path) -> None:
    apart, same = Apart(PATIENT), code(folder)
    first, second = opened(apart, same), opened(apart, same)
    pid = first.kept.pid
    assert second is first
    assert opened(apart, code(folder, digest="another")).kept.pid != pid
    del first, second
    assert pid is not None
    assert not is_alive(pid)


def test_it_ends_with_the_predictor_even_in_the_middle_of_an_endless_loop(folder: Path) -> None:
    program = f"""
import asyncio, sys
from tests.integration.serving import test_functions_apart as tests
functions = tests.Apart(tests.PATIENT).open(tests.code(tests.Path({str(folder)!r})))
async def main():
    task = asyncio.create_task(functions.compute(tests.columns(4), 1))
    await asyncio.sleep(0.1)
    print(functions.kept.pid, flush=True)
    await task
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(signal.SIGKILL)
    until(lambda: not is_alive(pid), what="it outlived the predictor")


def test_a_limit_that_is_no_size_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"\[predictor\] code_memory: 'much' is no size"):
        Apart(PredictorSettings(code_memory="much"))


def after(folder: Path, *, proof: Proof | None = None, text: str = FUNCTIONS + AFTER) -> Code:
    """The code of two functions, and of one that comes after the model."""
    return code(folder, text, after=("calibrated", ("words", "prediction", "number")), proof=proof)


def said(*numbers: float) -> dict[str, npt.NDArray[Any]]:
    words = np.empty(len(numbers), object)
    words[:] = ["é", None, *["abc"] * len(numbers)][: len(numbers)]
    return {"words": words, "prediction": np.array(numbers) * 100, "number": np.array(numbers)}


@pytest.mark.parametrize("n_rows", [1, 3, 70_000])
def test_what_comes_after_the_model_answers_as_it_does_here(folder: Path, n_rows: int) -> None:
    here, apart = run_here(after(folder)), opened(Apart(PATIENT), after(folder))

    async def check(functions: FunctionsApart) -> None:
        numbers = np.arange(20.0, 20 + n_rows)
        expected = await here.answer(said(*numbers), n_rows)
        assert np.array_equal(expected[:2], (numbers * 101 + [1, 0, *[3] * n_rows][:n_rows])[:2])
        for _ in range(2):
            np.testing.assert_array_equal(await functions.answer(said(*numbers), n_rows), expected)
        told, answers = await asyncio.gather(functions.compute(columns(20), 1), functions.answer(said(20), 1))
        assert (told["odd"].tolist(), answers.tolist()) == ([40.0], [2_021.0])

    run(apart, check)


def test_it_may_be_all_that_there_is(folder: Path) -> None:
    functions = opened(Apart(PATIENT), code(folder, AFTER, functions=(), after=after(folder).after))

    async def check(functions: FunctionsApart) -> None:
        assert (await functions.answer(said(20), 1)).tolist() == [2_021.0]

    run(functions, check)


def test_if_it_fails_only_its_question_does_and_if_it_hangs_its_process(folder: Path) -> None:
    async def check(functions: FunctionsApart) -> None:
        with pytest.raises(PredictionFailed, match=r"'calibrated', which comes after the model, returned .*\(1, 1\)"):
            await functions.answer(said(7), 1)
        assert (await functions.answer(said(20), 1)).tolist() == [2_021.0]
        with pytest.raises(Unavailable, match="gave no answer within 200 ms"):
            await functions.answer(said(4), 1)
        await recovered(functions)
        assert (await functions.answer(said(20), 1)).tolist() == [2_021.0]

    run(opened(Apart(HASTY), after(folder)), check)


def test_it_is_asked_before_it_may_answer(folder: Path) -> None:
    asked: list[list[float]] = []

    def refuse(found: npt.NDArray[np.float64]) -> None:
        asked.append(found.tolist())
        raise IntegrityError("not as it was")

    with pytest.raises(IntegrityError, match="not as it was"):
        Apart(PATIENT).open(after(folder, proof=Proof(said=Said(None, said(20), 1), check=refuse)))
    assert asked == [[2_021.0]]
    with pytest.raises(IntegrityError, match="cannot be used: 'calibrated', which comes after the model, returned"):
        Apart(PATIENT).open(after(folder, proof=Proof(said=Said(None, said(7), 1), check=refuse)))
    with pytest.raises(IntegrityError, match="lacks 'calibrated', which comes after the model"):
        Apart(PATIENT).open(after(folder, text=FUNCTIONS))
