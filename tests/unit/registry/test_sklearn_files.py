"""Files of scikit-learn's models hold data of trusted types, always as the same bytes, or are refused."""

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from octavo.errors import IntegrityError, MissingExtra, TrainingFailed
from octavo.registry.formats.sklearn_files import dump, load

ROWS = np.arange(12.0).reshape(6, 2)
LABELS = np.arange(6.0)


def doubled(rows: Any) -> Any:
    return rows * 2


def with_schema(data: bytes, change: Any) -> bytes:
    """The archive with its schema changed."""
    archive, changed = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(changed, "w") as into:
        for name in archive.namelist():
            text = archive.read(name)
            into.writestr(name, json.dumps(change(json.loads(text))) if name == "schema.json" else text)
    return changed.getvalue()


def test_an_estimator_that_is_fitted_again_is_the_same_bytes() -> None:
    first, again = (dump(make_pipeline(StandardScaler(), Ridge()).fit(ROWS, LABELS)) for _ in range(2))
    assert first == again


def test_members_are_undated_and_numbered() -> None:
    archive = zipfile.ZipFile(io.BytesIO(dump(Ridge().fit(ROWS, LABELS))))
    assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert archive.namelist()[:2] == ["schema.json", "1.npy"]


def test_what_is_shared_in_an_estimator_is_shared_when_it_comes_back() -> None:
    model = Ridge().fit(ROWS, LABELS)
    model.again_ = model.coef_
    back = load(dump(model))
    assert back.again_ is back.coef_


@pytest.mark.parametrize("function", [doubled, lambda rows: rows * 2])
def test_a_function_of_the_project_cannot_be_kept(function: Any) -> None:
    model = make_pipeline(FunctionTransformer(function), Ridge()).fit(ROWS, LABELS)
    with pytest.raises(TrainingFailed, match=r"cannot be kept without code.*in an on-demand feature"):
        dump(model)


def test_a_file_that_names_another_type_is_not_loaded() -> None:
    forged = with_schema(
        dump(Ridge().fit(ROWS, LABELS)), lambda schema: schema | {"__module__": "subprocess", "__class__": "Popen"}
    )
    with pytest.raises(IntegrityError, match=r"subprocess\.Popen"):
        load(forged)


def test_bytes_that_are_no_archive_are_refused() -> None:
    with pytest.raises(IntegrityError, match="cannot be loaded"):
        load(b"\x80\x04.")


def test_keeping_an_estimator_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skops.io", None)
    with pytest.raises(MissingExtra, match=r"octavo\[sklearn\]"):
        dump(Ridge().fit(ROWS, LABELS))
