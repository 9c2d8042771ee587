"""A version beside the live one on the same rows."""

import numpy as np
import pytest
from tests.unit.registry.gated import candidate, version

import octavo as oc
from octavo.errors import IntegrityError
from octavo.registry.champions import Champion
from octavo.registry.comparisons import compare, decode_comparison, encode_comparison

RANDOM = np.random.default_rng(1)
N = 1_000
LABELS = RANDOM.normal(0, 5, N)
NOISE = RANDOM.normal(0, 1, N)
SHOP = RANDOM.choice(["north", "south"], N).tolist()
GATES = [oc.no_worse_on(["shop"], metric="rmse")]


def test_both_are_told_with_their_difference_and_on_named_slices() -> None:
    made = candidate(GATES, labels=LABELS, predictions=LABELS + NOISE, champion=LABELS - 2 * NOISE, rows={"shop": SHOP})
    found = compare(made)
    assert (found.champion, found.rows, found.why) == (3, N, "")
    assert [one.name for one in found.metrics] == ["mae", "rmse"]
    assert all(one.is_better for one in found.metrics)
    assert found.metrics[0].theirs.value == pytest.approx(2 * found.metrics[0].ours.value)
    assert [one.name for one in found.slices] in (
        ["shop = north", "shop = south"],
        ["shop = south", "shop = north"],
    )
    assert found.answers.mean == pytest.approx(3 * np.abs(NOISE).mean())
    assert found.answers.flipped is None
    assert decode_comparison(encode_comparison(found)) == found


def test_chance_is_not_taken_for_better() -> None:
    made = candidate([], labels=LABELS, predictions=LABELS + NOISE, champion=LABELS + np.roll(NOISE, 1))
    assert compare(made).metrics[0].is_better is None


def test_of_a_binary_model_it_is_told_how_many_answers_flip() -> None:
    labels = (LABELS > 0).astype(float)
    ours = np.where(np.arange(N) < 100, 0.9, 0.1)
    found = compare(candidate([], labels=labels, predictions=ours, champion=np.full(N, 0.1), above=0.5))
    assert found.answers.flipped == pytest.approx(0.1)
    assert found.answers.correlation is None
    assert decode_comparison(encode_comparison(found)) == found


def test_a_champion_that_cannot_answer_says_why() -> None:
    silent = Champion(version=version(), predictions=None, why="version 3 takes x, which these rows lack")
    found = compare(candidate([], labels=LABELS, predictions=LABELS, champion=silent))
    assert (found.rows, found.metrics, found.why) == (0, (), "version 3 takes x, which these rows lack")


def test_without_a_champion_there_is_none() -> None:
    assert compare(candidate([], labels=LABELS, predictions=LABELS)) is None


def test_other_bytes_are_no_comparison() -> None:
    with pytest.raises(IntegrityError, match="compare no versions"):
        decode_comparison(b"[]")
