"""How answers are written."""

from typing import Any

import msgspec
import numpy as np
import pytest

from octavo.serving.answers import Predictions, Share, StatusWords, encode_answer
from octavo.serving.ids import Ids, Run

WORDS = StatusWords(["a", "b"])


def predictions(*shares: Share, n_rows: int = 1, degraded: bool = False) -> Predictions:
    return Predictions(
        "eta",
        "delay",
        ids=Ids(bytes(range(16)) * n_rows),
        values=np.full(n_rows, 2.5),
        shares=shares,
        degraded=degraded,
    )


def share(rows: Any = slice(None), *, arm: str = "live", version: int = 3, status: Any = None) -> Share:
    model: Any = None  # which answers do not look at
    return Share(rows, version, arm, model, WORDS, status, np.array([[1.0, np.nan]], np.float32))


def told(answer: Predictions, **more: Any) -> Any:
    return msgspec.json.decode(encode_answer(answer, **more))


def test_what_goes_without_saying_is_left_out() -> None:
    prediction = {"id": "00010203-0405-0607-0809-0a0b0c0d0e0f", "value": 2.5, "version": 3}
    assert told(predictions(share())) == {"deployment": "eta", "model": "delay", "predictions": [prediction]}


def test_what_was_asked_for_or_differs_is_said() -> None:
    [prediction] = told(predictions(share(arm="canary")), with_values=True)["predictions"]
    assert (prediction["arm"], prediction["values"]) == ("canary", {"a": 1.0, "b": None})


def test_each_row_has_what_its_version_says() -> None:
    canary = share(np.array([1]), arm="canary", version=4, status=np.array([[0, 2]], np.uint8))
    answer = predictions(share(np.array([0, 2])), canary, n_rows=3)
    rows = told(answer)["predictions"]
    assert [(one["version"], one.get("arm"), one.get("features")) for one in rows] == [
        (3, None, None),
        (4, "canary", {"b": "missing"}),
        (3, None, None),
    ]
    assert answer.versions.tolist() == [3, 4, 3]
    assert answer.version is None


def test_degradation_is_flagged() -> None:
    assert told(predictions(share(), degraded=True))["degraded"] is True


@pytest.mark.parametrize("ids", [Ids(bytes(range(64))), Ids(bytes(range(200)) * 8), Run(bytes(range(16)), 300)])
def test_many_rows_that_are_alike_are_told_as_each_alone_would_be(ids: Ids) -> None:
    values = ([0.1, -2.5, 1e300, 3.0] * 100)[: len(ids)]
    answer = Predictions("eta", "delay", ids=ids, values=np.array(values), shares=[share()])
    rows = told(answer)["predictions"]
    assert rows == [{"id": one, "value": value, "version": 3} for one, value in zip(ids, values, strict=True)]


def test_statuses_other_than_present_are_words_by_the_inputs_name() -> None:
    words = StatusWords(["a", "b", "c", "d"])
    assert msgspec.json.decode(words.by_row(np.array([[0, 1, 2, 3]], np.uint8))[0]) == {
        "b": "stale",
        "c": "missing",
        "d": "default",
    }


def test_equal_statuses_share_their_text_and_memory_stays_bounded() -> None:
    words = StatusWords([f"f{place}" for place in range(8)])
    first, second = words.by_row(np.zeros((2, 8), np.uint8))
    assert first is second
    for number in range(10_000):
        words.by_row(np.array([[number // 4**place % 4 for place in range(8)]], np.uint8))
    assert len(words._known) <= 4096


def test_where_all_are_present_there_is_nothing_to_say() -> None:
    assert StatusWords([]).by_row(np.empty((2, 0), np.uint8)) == ["", ""]
    assert StatusWords(["a"]).by_row(np.zeros((1, 1), np.uint8)) == [""]
