"""A client for both processes that answer: control and predictor.

What is safe to send twice, and so is sent again by itself when a kept-alive connection was lost:

- events, whose id tells one that was sent before;
- predictions for later, each under a key of its own;
- outcomes, which are known by what they say; one that does not say since when it is known gets an id here;
- predictions: a row is predicted anew, and the prediction whose answer was lost stays in the log without an outcome;
- the clock, and operations that only read.

Any other operation is sent once. If its connection is lost, it raises `ConnectionLost`, and it was perhaps done.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

from octavo.access import local_token
from octavo.client.columns import Columns, encode_table
from octavo.client.connections import Address, Connection
from octavo.client.datasets import Datasets
from octavo.config import find_root
from octavo.errors import Unavailable
from octavo.processes import CONTROL, PREDICTOR, find_running

Row = Mapping[str, object]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0

READS = frozenset({"list", "show", "version", "plan", "traffic", "compare", "dead"})
"""Verbs of operations that only read."""


class Client:
    """Talks to a running Octavo. Not to be shared between threads.

    Parameters
    ----------
    control_url, predictor_url : str or callable
        Such as ``http://127.0.0.1:8080``, or what tells it whenever a connection is opened.
    token : str
        ``octavo_<id>_<secret>``.
    timeout_s : float
        Per request.
    """

    def __init__(self, control_url: Address, predictor_url: Address, *, token: str, timeout_s: float = 30.0) -> None:
        self.control = Connection(control_url, token=token, timeout_s=timeout_s)
        self.predictor = Connection(predictor_url, token=token, timeout_s=timeout_s)
        self.datasets = Datasets(self.call)

    @classmethod
    def here(cls, folder: Path | None = None, *, timeout_s: float = 30.0) -> Self:
        """A client of the Octavo that runs for the project in a folder (the current one unless given).

        It finds the processes again after they were started anew, whatever their ports.

        Raises
        ------
        ConfigurationError
            If the folder is in no project.
        NotAuthenticated
            If the project was never started.
        """
        home = find_root((folder or Path.cwd()).resolve()) / ".octavo"
        token = local_token(home)
        return cls(
            lambda: _address_of(home, CONTROL), lambda: _address_of(home, PREDICTOR), token=token, timeout_s=timeout_s
        )

    def call(self, operation: str, **fields: object) -> Any:
        """Run an operation by its name in the OpenAPI description: ``call("models.show", model="arrival_delay")``.

        Raises
        ------
        OctavoError
            Whatever the operation raises, with its field and fix.
        ConnectionLost
            If it changes something and the connection was lost before its answer.
        """
        repeatable = operation.rpartition(".")[2] in READS
        return self.control.call("POST", f"/api/{operation}", fields, repeatable=repeatable)

    def predict(self, deployment: str, rows: Sequence[Row], *, values: bool = False) -> Any:
        """Predict for rows of request fields and entity keys.

        Parameters
        ----------
        values : bool
            Whether to answer the value of each feature too.

        Returns
        -------
        dict
            ``deployment``, ``model`` and one of ``predictions`` per row, each with ``id``, ``value``, ``version`` and
            the status of each feature.

        Raises
        ------
        InvalidRequest
            For the first thing that is wrong with a row; names its field and the fix.
        """
        path = f"/predict/{quote(deployment, safe='')}" + ("?values=1" if values else "")
        return self.predictor.call("POST", path, {"rows": rows}, repeatable=True)

    def predict_later(self, deployment: str, rows: Sequence[Row], *, values: bool = False, callback: str = "") -> str:
        """As `predict`, but answered when there is time; larger ones than `predict` are taken.

        Parameters
        ----------
        callback : str
            An address to be told there that it is answered; the predictor's settings say which may be.

        Returns
        -------
        str
            The id to `fetch` the answer with, also from another client.

        Raises
        ------
        InvalidRequest
            If the callback must not be made.
        Unavailable
            If too many wait already.
        """
        path = f"/predictions/{quote(deployment, safe='')}" + ("?values=1" if values else "")
        headers = {"Idempotency-Key": uuid4().hex} | ({"Callback-URL": callback} if callback else {})
        accepted = self.predictor.call("POST", path, {"rows": rows}, repeatable=True, headers=headers)
        return str(accepted["id"])

    def fetch(self, deployment: str, id: str, *, timeout_s: float = 600.0) -> Any:
        """The answer to `predict_later`, as `predict` would have given it; waits until it is there.

        Raises
        ------
        NotFound
            If there is none, because it was cancelled or its time is over.
        Unavailable
            If it is not there in time; it may be fetched later.
        OctavoError
            Whatever `predict` would have raised.
        """
        path, until_s = f"/predictions/{quote(deployment, safe='')}/{quote(id, safe='')}", monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        while True:
            found = self.predictor.call("GET", path, repeatable=True)
            if "state" not in found:
                return found
            if monotonic() + pause_s > until_s:
                raise Unavailable(f"{path} is not answered within {timeout_s:g} s; fetch it again later")
            sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def cancel(self, deployment: str, id: str) -> None:
        """Forget a `predict_later`, answered or not.

        Raises
        ------
        NotFound
            If there is none (any more).
        """
        path = f"/predictions/{quote(deployment, safe='')}/{quote(id, safe='')}"
        self.predictor.call("DELETE", path, repeatable=False)

    def send_events(self, source: str, rows: Sequence[Row] | Columns, *, bad: str = "refuse") -> Any:
        """Send events of a source; when it returns they are kept.

        Parameters
        ----------
        rows : sequence of mapping, or a table
            A table is whatever tells its columns to Arrow (of pyarrow, pandas, polars or DuckDB), and is sent as such.
        bad : str
            ``refuse``: one wrong row refuses all. ``keep``: wrong rows are kept as dead letters, the others are taken.

        Returns
        -------
        dict
            ``rows`` accepted, ``bad`` ones, and of these the first hundred in ``kept``, each with its ``reason``.
        """
        path = f"/events/{quote(source, safe='')}" + ("" if bad == "refuse" else f"?bad={quote(bad, safe='')}")
        body = encode_table(rows) if isinstance(rows, Columns) else {"rows": rows}
        return self.control.call("POST", path, body, repeatable=True)

    def send_outcomes(self, rows: Sequence[Row]) -> Any:
        """Send the truth about predictions: ``prediction`` (its id), ``value``, and ``known_at`` unless it is now."""
        return self.control.call("POST", "/outcomes", {"rows": [_identified(row) for row in rows]}, repeatable=True)

    def read_clock(self) -> Any:
        """What time it is on the platform: ``now``, and whether it is a ``replay``."""
        return self.control.call("GET", "/api/clock", repeatable=True)

    def advance_clock(self, to: datetime, *, timeout_s: float = 600.0) -> Any:
        """Move a replay's clock, once everything that was sent has been applied.

        It takes as long as the worker needs for what is due on the way, such as a training.
        """
        return self.control.call("POST", "/api/clock", {"to": to}, repeatable=True, timeout_s=timeout_s)

    def close(self) -> None:
        """Close both connections."""
        self.control.close()
        self.predictor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _identified(row: Row) -> Row:
    """An outcome that is told apart from any other, and known again when it is sent again."""
    return row if row.get("id") or row.get("known_at") else {**row, "id": uuid4().hex}


def _address_of(home: Path, process: str) -> str:
    running = find_running(home, process)
    if running is None:
        raise Unavailable(f"no {process} process runs for this project; start it with: octavo up")
    return running.url
