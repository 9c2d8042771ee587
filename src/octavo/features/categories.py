"""Categories as a model is given them: the places of words in the vocabulary that training found."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from octavo.definitions.about import Expectation
from octavo.errors import TrainingFailed

UNSEEN = -1.0
"""The place of a word that is not in the vocabulary."""

MOST_CATEGORIES = 10_000


def vocabulary_of(words: pa.ChunkedArray, *, name: str, expected: Expectation | None) -> tuple[str, ...]:
    """The words of a category: those that are expected, if any are, else those that training has, sorted.

    Parameters
    ----------
    words : pa.ChunkedArray of string
        Of the rows that are learned from.

    Raises
    ------
    TrainingFailed
        If there is none, or there are more than 10,000.
    """
    declared = [one for one in expected.categories if isinstance(one, str)] if expected else []
    found = sorted(set(declared or pc.unique(words).drop_null().to_pylist()))
    if not found:
        raise TrainingFailed(
            f"category {name!r} is null in every training row; leave it out, or have its column filled"
        )
    if len(found) > MOST_CATEGORIES:
        raise TrainingFailed(
            f"category {name!r} has {len(found):,} words in the training rows, of at most {MOST_CATEGORIES:,}; name "
            "those that matter by expect=oc.expect(categories=[...]), or take features of it as an entity instead"
        )
    return tuple(found)


def places_of(words: pa.ChunkedArray | pa.Array, vocabulary: Sequence[str]) -> npt.NDArray[np.float64]:
    """The place of each word, `UNSEEN` for one that is not in the vocabulary, NaN for none.

    Returns
    -------
    ndarray, shape (n_rows,), float64
    """
    whole = words.combine_chunks() if isinstance(words, pa.ChunkedArray) else words
    places = pc.index_in(whole, value_set=pa.array(vocabulary, pa.string())).cast(pa.float64())
    known: npt.NDArray[np.float64] = places.fill_null(UNSEEN).to_numpy()
    return np.where(whole.is_null().to_numpy(zero_copy_only=False), np.nan, known)


def translated(
    places: npt.NDArray[np.floating], vocabulary: Sequence[str], *, into: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Places in one vocabulary as places in another; a word that the other lacks is `UNSEEN`."""
    at = {word: float(place) for place, word in enumerate(into)}
    table = np.array([*(at.get(word, UNSEEN) for word in vocabulary), np.nan, UNSEEN])
    known = np.where(np.isnan(places), len(vocabulary), places).astype(np.intp)
    found: npt.NDArray[np.float64] = table[known]
    return found
