"""What came of the predictions of a release's stage: each version's answers with the first word about outcomes."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa

from octavo.definitions.models import Label
from octavo.errors import NotFound
from octavo.monitoring.matured import labels_of
from octavo.monitoring.outcomes import TABLE as OUTCOMES
from octavo.monitoring.prediction_log import TABLE as PREDICTIONS
from octavo.monitoring.windows import UNIT
from octavo.release.outcomes import DividedOutcomes, PairedOutcomes
from octavo.stores.ports import Tables

MOST_ROWS = 200_000
"""Of more cases than this the first are judged."""

# The first word about an outcome is the one that was known first: what is corrected later does not change the past.
_KNOWN = f"""
p AS (SELECT id, "at", arm, version, output, {UNIT} AS unit FROM predictions
      WHERE deployment = $deployment AND "at" >= $since AND "at" < $until AND coalesce("group", '') = ''
        AND arm IN ('live', 'canary', 'shadow') AND version IN ($candidate, $live)),
o AS (SELECT prediction, arg_min(value, row(known_at, sequence)) AS value, min(known_at) AS known_at
      FROM outcomes WHERE known_at >= $since AND known_at < $until GROUP BY prediction)
"""
_ONE_PER_UNIT = """
SELECT * FROM cases
QUALIFY row_number() OVER (PARTITION BY unit ORDER BY known_at, id) = 1
ORDER BY known_at, id LIMIT $most
"""
_PAIRED = f"""
WITH {_KNOWN},
cases AS (SELECT c.id AS id, c.unit AS unit, c.output AS candidate, l.output AS live, o.value AS value,
                 o.known_at AS known_at
          FROM p AS c JOIN p AS l ON c.id = l.id JOIN o ON o.prediction = c.id
          WHERE c.arm = 'shadow' AND c.version = $candidate AND l.arm = 'live' AND l.version = $live)
{_ONE_PER_UNIT}
"""
# Where the canary failed the live version answered beside it; the case is the canary's all the same.
_DIVIDED = f"""
WITH {_KNOWN},
began AS (SELECT min("at") AS moment FROM p WHERE arm = 'canary' AND version = $candidate),
a AS (SELECT id, any_value(unit) AS unit, bool_or(arm = 'canary') AS is_candidate,
             coalesce(any_value(output) FILTER (arm = 'canary'), any_value(output)) AS output
      FROM p WHERE ((arm = 'canary' AND version = $candidate) OR (arm = 'live' AND version = $live))
        AND "at" >= (SELECT moment FROM began) GROUP BY id),
cases AS (SELECT a.id AS id, a.unit AS unit, a.output AS output, a.is_candidate AS is_candidate, o.value AS value,
                 o.known_at AS known_at
          FROM a JOIN o ON o.prediction = a.id)
{_ONE_PER_UNIT}
"""


def paired_outcomes(
    tables: Tables, deployment: str, *, versions: tuple[int, int], period: tuple[datetime, datetime], label: Label,
    unit: str | None,
) -> PairedOutcomes:  # fmt: skip
    """The cases that a shadow and the live version both answered.

    Parameters
    ----------
    versions : (candidate, live)
    period : (since, until)
        Predictions made and outcomes known in it.
    unit : str or None
        The field by which units are told apart; each prediction is its own if None.
    """
    parameters = _parameters(deployment, versions, period, unit)
    rows = _read(tables, _PAIRED, parameters, columns=("candidate", "live", "value"))
    return PairedOutcomes(
        candidate=_numbers(rows, "candidate"),
        live=_numbers(rows, "live"),
        labels=labels_of(_numbers(rows, "value"), label),
    )


def divided_outcomes(
    tables: Tables, deployment: str, *, versions: tuple[int, int], period: tuple[datetime, datetime], label: Label,
    unit: str | None, share: float,
) -> DividedOutcomes:  # fmt: skip
    """The cases that either the canary or the live version answered; see `paired_outcomes`.

    Parameters
    ----------
    share : float
        Of the canary, in (0, 1).
    """
    parameters = _parameters(deployment, versions, period, unit)
    rows = _read(tables, _DIVIDED, parameters, columns=("output", "is_candidate", "value"))
    return DividedOutcomes(
        outputs=_numbers(rows, "output"),
        labels=labels_of(_numbers(rows, "value"), label),
        is_candidate=np.array(rows.column("is_candidate").to_pylist(), np.bool_),
        share=share,
    )


def _parameters(
    deployment: str, versions: tuple[int, int], period: tuple[datetime, datetime], unit: str | None
) -> dict[str, object]:
    return {
        "deployment": deployment,
        "candidate": versions[0],
        "live": versions[1],
        "since": period[0],
        "until": period[1],
        "path": None if unit is None else f"$.{unit}",
        "most": MOST_ROWS,
    }


def _read(tables: Tables, query: str, parameters: Mapping[str, object], *, columns: tuple[str, ...]) -> pa.Table:
    relations = {"predictions": PREDICTIONS, "outcomes": OUTCOMES}
    try:
        return tables.query(query, tables=relations, parameters=parameters)
    except NotFound:  # of a table, as long as nothing was predicted or no outcome is known
        return pa.table({name: pa.array([], pa.float64()) for name in columns})


def _numbers(rows: pa.Table, column: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(rows.column(column).to_numpy(), np.float64)
