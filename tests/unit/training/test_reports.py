"""Reports, written and read."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from octavo.definitions.models import Task
from octavo.errors import IntegrityError
from octavo.training.profiling import profile
from octavo.training.reports import CurvePoint, DataWindow, Interval, Report, decode_report, encode_report

WINDOW = DataWindow(rows=3, start=datetime(2030, 1, 1, tzinfo=UTC), end=datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
HALF = Interval(value=0.5, low=0.25, high=0.75)
REPORT = Report(
    model="m",
    task=Task.BINARY,
    metrics={"log_loss": HALF},
    baselines={"constant": {"log_loss": HALF}},
    importance={"b": 0.75, "a": 0.25},
    profiles={"a": profile([1.0, np.nan]), "b": profile([])},
    prediction=profile(np.linspace(0, 1, 50)),
    label=profile([0.0, 1.0]),
    curve=(CurvePoint(predicted=0.1, observed=HALF, rows=2),),
    training=WINDOW,
    holdout=WINDOW,
    as_of=datetime(2030, 1, 3, tzinfo=UTC),
)


def test_a_report_comes_back_as_it_was() -> None:
    assert decode_report(encode_report(REPORT)) == REPORT


def test_equal_reports_are_equal_bytes_whatever_the_order_they_were_made_in() -> None:
    other = replace(REPORT, importance=dict(reversed(REPORT.importance.items())))
    assert encode_report(other) == encode_report(REPORT)


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"\xff\xfe", encode_report(REPORT)[:-1]])
def test_what_is_no_report_is_refused_with_what_to_do(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"no report of a model.*train the model again"):
        decode_report(data)


def test_counts_of_batches_add_up() -> None:
    found = profile(np.arange(100.0))
    column = np.array([1.0, np.nan, 50.0, 99.0, 1e30, -1e30])
    whole, missing = found.counts(column)
    parts = [found.counts(column[:3]), found.counts(column[3:])]
    assert (whole == parts[0][0] + parts[1][0]).all()
    assert missing == parts[0][1] + parts[1][1] == 1
