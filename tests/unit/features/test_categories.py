"""Words as places in a vocabulary."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.errors import TrainingFailed
from octavo.features.categories import places_of, translated, vocabulary_of

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]) | st.none())
VOCABULARIES = st.sets(st.sampled_from(["a", "b", "c", "d"]), min_size=1).map(sorted)


@given(words=WORDS, vocabulary=VOCABULARIES)
def test_a_word_is_at_its_place_an_unknown_one_before_all_and_none_nowhere(
    words: list[str | None], vocabulary: list[str]
) -> None:
    places = places_of(pa.chunked_array([words[:2], words[2:]], pa.string()), vocabulary)
    for word, place in zip(words, places.tolist(), strict=True):
        assert np.isnan(place) if word is None else place == (vocabulary.index(word) if word in vocabulary else -1)


@given(words=WORDS, ours=VOCABULARIES, theirs=VOCABULARIES)
def test_translated_places_are_those_of_the_words_that_both_know(
    words: list[str | None], ours: list[str], theirs: list[str]
) -> None:
    given = pa.array([word if word in ours else None for word in words], pa.string())
    assert translated(places_of(given, ours), ours, into=theirs) == pytest.approx(places_of(given, theirs), nan_ok=True)


def test_an_unknown_word_stays_unknown_in_another_vocabulary() -> None:
    assert translated(np.array([-1.0]), ["a"], into=["a", "b"]).tolist() == [-1.0]


def test_a_vocabulary_is_sorted_and_of_the_training_rows() -> None:
    assert vocabulary_of(pa.chunked_array([["b", None, "a", "b"]]), name="shop", expected=None) == ("a", "b")


def test_a_category_without_a_word_is_refused() -> None:
    with pytest.raises(TrainingFailed, match="'shop' is null in every training row"):
        vocabulary_of(pa.chunked_array([[None]], pa.string()), name="shop", expected=None)
