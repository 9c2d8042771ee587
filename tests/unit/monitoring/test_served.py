"""Which recorded predictions an audit of features can look into."""

import pyarrow as pa

from octavo.monitoring.served import complete


def recorded(*, entities: str = '{"origin":"JFK"}', request: str = '{"distance":1.0}', n_inputs: int = 2) -> pa.Table:
    row = {"entities": entities, "request": request, "inputs": b"\0" * 4 * n_inputs, "status": b"\0" * n_inputs}
    return pa.Table.from_pylist([row])


def test_predictions_of_rows_whose_inputs_were_computed_are_complete() -> None:
    assert complete(recorded(), n_inputs=2).num_rows == 1
    assert complete(recorded(entities="{}"), n_inputs=2).num_rows == 1


def test_what_failed_before_its_inputs_were_computed_is_passed_over() -> None:
    assert complete(recorded(n_inputs=0), n_inputs=2).num_rows == 0


def test_inputs_that_the_caller_sent_as_they_are_were_not_computed() -> None:
    assert complete(recorded(entities="{}", request="{}"), n_inputs=2).num_rows == 0
