"""The list of types that one model is loaded by."""

from importlib.metadata import version

import msgspec
import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from octavo.errors import IntegrityError, MissingExtra
from octavo.registry.formats.sklearn import ScikitLearn
from octavo.registry.formats.sklearn_trust import FILE, Trust

ROWS, LABELS = np.arange(12.0).reshape(6, 2), np.arange(6.0)
HERE = ".".join(version("scikit-learn").split(".")[:2])
FORMAT = ScikitLearn()


@pytest.fixture(scope="module")
def forest() -> dict[str, bytes]:
    return FORMAT.save(RandomForestRegressor(n_estimators=2, random_state=0).fit(ROWS, LABELS))


def listed(files: dict[str, bytes], **changes: object) -> dict[str, bytes]:
    trust = msgspec.structs.replace(msgspec.json.decode(files[FILE], type=Trust), **changes)
    return files | {FILE: msgspec.json.encode(trust)}


def test_the_list_holds_what_the_model_needs_and_no_more(forest: dict[str, bytes]) -> None:
    trust = msgspec.json.decode(forest[FILE], type=Trust)
    assert trust == Trust(library=HERE, types=("sklearn.tree._tree.Tree",))
    plain = msgspec.json.decode(FORMAT.save(Ridge().fit(ROWS, LABELS))[FILE], type=Trust)
    assert plain.types == ()


def test_a_type_that_is_not_on_the_list_is_not_made(forest: dict[str, bytes]) -> None:
    with pytest.raises(IntegrityError, match=r"cannot be loaded.*Tree"):
        FORMAT.load(listed(forest, types=()))


def test_a_list_cannot_ask_for_more_than_is_trusted(forest: dict[str, bytes]) -> None:
    with pytest.raises(IntegrityError, match=r"asks for posix\.system to be trusted, which is not"):
        FORMAT.load(listed(forest, types=("posix.system", "sklearn.tree._tree.Tree")))


def test_a_list_is_for_one_version_of_the_library(forest: dict[str, bytes]) -> None:
    with pytest.raises(MissingExtra, match=f"is for scikit-learn 0.1, and {HERE} is installed; install that, or train"):
        FORMAT.load(listed(forest, library="0.1"))


def test_a_model_of_before_there_were_lists_is_loaded_by_that_of_octavo(forest: dict[str, bytes]) -> None:
    old = {name: data for name, data in forest.items() if name != FILE}
    assert FORMAT.load(old)(ROWS).shape == (6,)
