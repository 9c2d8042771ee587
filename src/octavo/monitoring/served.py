"""Predictions as they were served, sampled from the log: what was asked, and which values the model was given."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from octavo.clock import EPOCH
from octavo.errors import NotFound
from octavo.monitoring.prediction_log import TABLE
from octavo.monitoring.windows import IN_PERIOD
from octavo.stores.ports import Tables

_COLUMNS = 'id, "at", model, version, digest, entities, request, inputs, status'
_NEWEST = f'SELECT {_COLUMNS} FROM predictions WHERE {IN_PERIOD} ORDER BY "at" DESC, id LIMIT $limit'
_SPREAD = f"""
SELECT * FROM (SELECT {_COLUMNS} FROM predictions WHERE {IN_PERIOD} ORDER BY hash(id), id LIMIT $limit)
ORDER BY "at" DESC, id
"""


def sample_served(
    tables: Tables, deployment: str, *, since: datetime | None, until: datetime, limit: int
) -> pa.Table | None:
    """Some of the predictions that a deployment answered before a moment, the newest first.

    Parameters
    ----------
    since : datetime or None
        With it they are spread over [since, until), without it they are the newest.

    Returns
    -------
    pa.Table or None
        Columns as in `octavo.monitoring.prediction_log.SCHEMA`; None if there is no prediction.
    """
    period = {"deployment": deployment, "since": since or EPOCH, "until": until, "limit": limit}
    try:
        found = tables.query(_NEWEST if since is None else _SPREAD, tables={"predictions": TABLE}, parameters=period)
    except NotFound:
        return None
    return found if found.num_rows else None


def by_bundle(sample: pa.Table) -> Iterator[tuple[str, str, int, pa.Table]]:
    """The rows of each bundle: its digest, model, version and rows, in their order."""
    for digest in pc.unique(sample.column("digest")).to_pylist():
        rows = sample.filter(pc.equal(sample.column("digest"), digest))
        yield digest, rows.column("model")[0].as_py(), rows.column("version")[0].as_py(), rows


def complete(rows: pa.Table, *, n_inputs: int) -> pa.Table:
    """Those rows whose inputs were computed at all; a caller may have sent them as they are, without any field."""
    wide_enough = pc.equal(pc.binary_length(rows.column("inputs")), n_inputs * np.dtype(np.float32).itemsize)
    computed = pc.and_(wide_enough, pc.equal(pc.binary_length(rows.column("status")), n_inputs))
    as_they_are = pc.and_(pc.equal(rows.column("entities"), "{}"), pc.equal(rows.column("request"), "{}"))
    return rows.filter(pc.and_(computed, pc.invert(as_they_are)))
