"""Outcomes joined with the predictions that they are about.

An outcome may arrive before its prediction, long after it, twice, or corrected: `latest` picks the one that counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.definitions.models import Label
from octavo.errors import NotFound
from octavo.monitoring.outcomes import TABLE as OUTCOMES
from octavo.monitoring.prediction_log import TABLE as PREDICTIONS
from octavo.monitoring.windows import ANSWERED
from octavo.stores.columns import TIME
from octavo.stores.ports import Tables


def latest(where: str) -> str:
    """A SELECT of the outcome that counts for each prediction, among the outcomes of which a condition is true."""
    return (
        "SELECT prediction, arg_max(value, row(known_at, sequence)) AS value, max(known_at) AS known_at "
        f"FROM outcomes WHERE {where} GROUP BY prediction"
    )


# Of outcomes known in the window the last one known in it is also the last one known before its end. Ids are ordered by
# time, so the bounds spare reading all that was predicted long before.
_MATURED = f"""
WITH o AS MATERIALIZED ({latest("known_at >= $since AND known_at < $until")})
SELECT p.digest, p.output, o.value, o.known_at
FROM o JOIN predictions AS p ON p.id = o.prediction
WHERE p.id >= (SELECT min(prediction) FROM o) AND p.id <= (SELECT max(prediction) FROM o)
  AND p.deployment = $deployment AND {ANSWERED}
ORDER BY p."at", p.id
"""
_OF_IDS = latest("prediction IN (SELECT id FROM asked)")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matured:
    """Answered predictions with their outcomes, in the order in which the predictions were made.

    Attributes
    ----------
    outputs : ndarray, shape (n_rows,), float64
        NaN where the live version failed.
    values : ndarray, shape (n_rows,), float64
        Raw values of the label's column.
    digests : ndarray of str, shape (n_rows,)
        Of the bundle that answered.
    newest_known_at : datetime or None
    """

    outputs: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    digests: npt.NDArray[np.object_]
    newest_known_at: datetime | None

    def of(self, digest: str) -> "Matured":
        """Those that a bundle answered with a number."""
        chosen = (self.digests == digest) & np.isfinite(self.outputs)
        return Matured(
            outputs=self.outputs[chosen],
            values=self.values[chosen],
            digests=self.digests[chosen],
            newest_known_at=self.newest_known_at,
        )

    def __len__(self) -> int:
        return len(self.outputs)


def read_matured(tables: Tables, deployment: str, *, since: datetime, until: datetime) -> Matured:
    """The predictions of a deployment whose outcome became known in [since, until), whenever they were made."""
    try:
        rows = tables.query(
            _MATURED,
            tables={"outcomes": OUTCOMES, "predictions": PREDICTIONS},
            parameters={"deployment": deployment, "since": since, "until": until},
        )
    except NotFound:
        rows = _NOTHING.empty_table()
    known = rows.column("known_at").to_numpy()
    return Matured(
        outputs=rows.column("output").to_numpy(),
        values=rows.column("value").to_numpy(),
        digests=rows.column("digest").to_numpy(),
        newest_known_at=rows.column("known_at")[int(known.argmax())].as_py() if len(known) else None,
    )


def outcomes_of(tables: Tables, predictions: Sequence[str]) -> dict[str, float]:
    """The raw value that counts, by prediction, of those whose outcome is known."""
    asked = pa.table({"id": pa.array(predictions, pa.string())})
    try:
        rows = tables.query(_OF_IDS, tables={"outcomes": OUTCOMES}, frames={"asked": asked})
    except NotFound:
        return {}
    return dict(zip(rows.column("prediction").to_pylist(), rows.column("value").to_pylist(), strict=True))


def labels_of(values: npt.NDArray[np.float64], label: Label) -> npt.NDArray[np.float64]:
    """`Label.truth` of many raw values."""
    return values if label.above is None else (values > label.above).astype(np.float64)


_NOTHING = pa.schema({"digest": pa.string(), "output": pa.float64(), "value": pa.float64(), "known_at": TIME})
