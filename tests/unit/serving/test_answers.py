"""How answers are written."""

from typing import Any

import msgspec

from octavo.serving.answers import DeploymentAnswer, PredictionAnswer, StatusWords, encode_answer


def answer(**changes: Any) -> dict[str, Any]:
    one = PredictionAnswer(id="1", value=2.5, version=3, features=msgspec.Raw(b'{"a":"present"}'), **changes)
    data = encode_answer(DeploymentAnswer(deployment="eta", model="delay", predictions=[one]))
    found: dict[str, Any] = msgspec.json.decode(data)
    return found


def test_what_goes_without_saying_is_left_out() -> None:
    prediction = {"id": "1", "value": 2.5, "version": 3, "features": {"a": "present"}}
    assert answer() == {"deployment": "eta", "model": "delay", "predictions": [prediction]}


def test_what_was_asked_for_or_differs_is_said() -> None:
    [prediction] = answer(arm="canary", values={"a": 1.0, "b": float("nan")})["predictions"]
    assert prediction["arm"] == "canary"
    assert prediction["values"] == {"a": 1.0, "b": None}


def test_degradation_is_flagged() -> None:
    data = encode_answer(DeploymentAnswer(deployment="eta", model="delay", predictions=[], degraded=True))
    assert msgspec.json.decode(data)["degraded"] is True


def test_statuses_are_words_by_the_inputs_name() -> None:
    words = StatusWords(["a", "b", "c", "d"])
    assert msgspec.json.decode(words.json(bytes([0, 1, 2, 3]))) == {
        "a": "present",
        "b": "stale",
        "c": "missing",
        "d": "default",
    }


def test_equal_statuses_share_their_bytes_and_memory_stays_bounded() -> None:
    words = StatusWords([f"f{place}" for place in range(8)])
    assert words.json(bytes(8)) is words.json(bytes(8))
    for number in range(10_000):
        words.json(bytes(number // 4**place % 4 for place in range(8)))
    assert len(words._known) <= 4096


def test_a_model_without_inputs_has_no_statuses() -> None:
    assert bytes(StatusWords([]).json(b"")) == b"{}"
