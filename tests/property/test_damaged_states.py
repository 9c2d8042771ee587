"""Whatever stands in the online store where a state should be, it is read or refused, and never followed out of it."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.definitions.plans import plan_view
from octavo.errors import IntegrityError
from octavo.features.online.keys import decode_generation, entity_key, pointer_key
from octavo.features.online.layout import layout_of
from octavo.features.online.lookup import Lookup
from octavo.features.online.state import StateCodec
from tests.plants import SECOND, START, Plant, readings

HOUR = 3_600 * SECOND
VIEW = FeatureView(
    "machines",
    entity=oc.Entity("machine", key="machine"),
    source=readings,
    features=[
        oc.count(over=["1h", "24h"]),
        oc.std("amount", over="1h"),
        oc.quantile("amount", 0.9, over="24h"),
        oc.distinct("remark", over="24h"),
        oc.first("amount", over="1h"),
        oc.last_k("amount", 3, over="24h"),
        oc.decayed_sum("amount", half_life="1h", over="24h"),
        oc.latest("amount", ttl="2h"),
    ],
)
NOW = START + 10 * HOUR


def sound_state() -> tuple[Lookup, bytes]:
    plant = Plant()
    plant.restart(VIEW)
    plant.wait(10 * HOUR)
    plant.send(
        [
            {
                "number": n,
                "happened": START + n * HOUR // 20,
                "known": START + n * HOUR // 20,
                "machine": "a",
                "amount": n,
            }
            for n in range(150)
        ]
    )
    plant.apply()
    [pointer] = plant.stores.online.read([pointer_key(VIEW.name)])
    assert pointer is not None
    lookup = Lookup([pointer], [plan_view(VIEW)])
    [data] = plant.stores.online.read([decode_generation(pointer).prefix + entity_key("a")])
    assert data is not None
    return lookup, data


LOOKUP, STATE = sound_state()


def read(data: bytes) -> None:
    LOOKUP.read([data], [0], n_rows=1, at_us=NOW)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(STATE) // 8 - 1), st.integers(-(2**63), 2**63 - 1)), max_size=4))
def test_changed_words_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    words = np.frombuffer(bytearray(STATE), np.int64)
    for place, word in changes:
        words[place] = word
    with suppress(IntegrityError):
        read(words.tobytes())


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=600))
def test_other_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(IntegrityError):
        read(data)


@settings(deadline=None)
@given(st.integers(1, len(STATE) - 1))
def test_a_state_that_is_cut_is_refused(length: int) -> None:
    with pytest.raises(IntegrityError, match="materialize"):
        read(STATE[:length])


@settings(deadline=None)
@given(st.integers(1, len(STATE) - 1))
def test_no_event_is_folded_into_a_state_that_is_cut(length: int) -> None:
    codec = StateCodec(layout_of(VIEW.features))
    rows = np.zeros((1, codec.row_words), np.int64)
    with pytest.raises(IntegrityError):
        codec.update([STATE[:length]], rows, np.array([0, 1]), settled_us=NOW)
