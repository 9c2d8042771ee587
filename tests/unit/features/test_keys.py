import msgspec
import pyarrow as pa
import pytest
from tests.plants import machines, readings

import octavo as oc
from octavo.definitions.plans import plan_view
from octavo.errors import IntegrityError
from octavo.features.composite import entity_column
from octavo.features.online import keys
from octavo.features.online.keys import StateKeys, composite_key, decode_generation, entity_key, generation_of
from octavo.features.online.reader import OnlineReader
from octavo.stores.memory import MemoryOnlineStore


def test_a_long_key_is_kept_by_its_digest() -> None:
    joined = composite_key(["x" * 300, 1])
    assert joined is not None
    assert len(joined) > 300
    assert len(entity_key(joined)) == len(entity_key("x" * 300)) == 33


KNOWN_BY = ["a", "1", "ü\ud800", "x" * 300, 1, True, 2**70, composite_key(["a", 1]), None, 1.0, "", "a"]


@pytest.mark.parametrize("remembered", [1, 1000])
def test_keys_that_are_remembered_are_those_that_are_made(monkeypatch: pytest.MonkeyPatch, remembered: int) -> None:
    monkeypatch.setattr(keys, "_REMEMBERED", remembered)
    known = StateKeys(b"prefix")
    for one in KNOWN_BY * 2:
        assert known[one] == (b"prefix" + entity_key(one) if isinstance(one, keys.KEYS) else None), one
    assert len(known) <= min(remembered, 4)


@pytest.mark.parametrize("parts", [["a", None], [None, 1], [None, None], ["a", 1.5]])
def test_without_one_of_its_keys_there_is_no_entity(parts: list[object]) -> None:
    assert composite_key(parts) is None


def test_an_event_without_the_column_of_a_key_is_about_no_entity() -> None:
    events = pa.table({"machine": ["a", "b"]})
    assert entity_column(events, ("machine", "site")).to_pylist() == [None, None]
    assert entity_column(events, ("machine",)).to_pylist() == ["a", "b"]


def test_a_generation_of_the_time_of_single_entities_is_read() -> None:
    generation = generation_of(machines)
    document = msgspec.msgpack.decode(generation.encode())
    document["key"] = document.pop("keys")[0]
    assert decode_generation(msgspec.msgpack.encode(document)) == generation


@pytest.mark.parametrize("data", [b"", b"\x90", b"\x80", b"nonsense"])
def test_what_is_no_generation_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="run: octavo materialize"):
        decode_generation(data)


def test_a_request_without_one_of_the_keys_reads_what_nothing_is_known_of() -> None:
    machine, plant = machines.entities[0], oc.Entity("plant", key="plant", dtype=oc.Int64)
    pairs = oc.FeatureView(
        "pairs", entity=(machine, plant), key=("machine", "site"), source=readings, features=[oc.count(over="1h")]
    )
    reader = OnlineReader(MemoryOnlineStore(), (plan_view(pairs),))
    assert reader.read([{"machine": "a"}, {}, {"plant": 1, "machine": None}], at_us=1).values.shape == (3, 1)
