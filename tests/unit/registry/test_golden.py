"""Golden rows: a few of each kind, written so that they come back bit for bit."""

import numpy as np
import pytest

from octavo.errors import IntegrityError
from octavo.registry.bundles import Golden, decode_golden
from octavo.registry.golden import choose_rows, encode_golden
from octavo.registry.parity import Trial


def golden(rows: np.ndarray, expected: list[float]) -> Golden:
    return Golden(rows=rows.astype(np.float32), expected=np.array(expected), tolerance=1e-4)


def test_rows_of_each_kind_are_chosen_from_its_first_to_its_last() -> None:
    many = Trial(kind="many", rows=np.arange(100.0).reshape(100, 1))
    chosen = choose_rows([many, Trial(kind="one", rows=np.array([[-1.0]]))])
    assert (chosen[0, 0], chosen[15, 0], chosen[16, 0]) == (0.0, 99.0, -1.0)
    assert len(chosen) == 17


def test_golden_rows_come_back_from_their_document() -> None:
    rows = np.array([[np.nan, np.inf, -np.inf], [0.1, -0.0, 3.4028234e38], [1e-40, 7.0, 1 / 3]])
    again = decode_golden(encode_golden(golden(rows, [1.0, 0.1, -2.5])))
    assert again.rows.tobytes() == rows.astype(np.float32).tobytes()
    assert again.expected.tolist() == [1.0, 0.1, -2.5]
    assert again.tolerance == 1e-4


def test_answers_within_the_tolerance_pass_and_others_name_the_row() -> None:
    known = golden(np.zeros((2, 1)), [1.0, 1_000.0])
    known.check([1.00009, 1_000.09], model="m")
    with pytest.raises(IntegrityError, match="golden row 1"):
        known.check([1.0, 1_000.2], model="m")
    with pytest.raises(IntegrityError, match="golden row 0"):
        known.check([np.nan, 1_000.0], model="m")


def test_too_few_answers_are_refused() -> None:
    with pytest.raises(IntegrityError, match="1 outputs for 2 golden rows"):
        golden(np.zeros((2, 1)), [1.0, 2.0]).check([1.0], model="m")


@pytest.mark.parametrize("document", [b"{}", b"[]", b'{"rows":[[1],[1,2]],"expected":[1,2],"tolerance":1}'])
def test_what_is_no_document_of_golden_rows_is_refused(document: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"golden\.json"):
        decode_golden(document)
