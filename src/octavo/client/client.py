"""A client for both processes that answer: control and predictor."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from octavo.client.connections import Connection
from octavo.config import find_root
from octavo.errors import Unavailable

Row = Mapping[str, object]


class Client:
    """Talks to a running Octavo. Not to be shared between threads.

    Parameters
    ----------
    control_url, predictor_url : str
        Such as ``http://127.0.0.1:8080``.
    token : str
        ``octavo_<id>_<secret>``.
    timeout_s : float
        Per request.
    """

    def __init__(self, control_url: str, predictor_url: str, *, token: str, timeout_s: float = 30.0) -> None:
        self.control = Connection(control_url, token=token, timeout_s=timeout_s)
        self.predictor = Connection(predictor_url, token=token, timeout_s=timeout_s)

    @classmethod
    def here(cls, folder: Path | None = None, *, timeout_s: float = 30.0) -> Self:
        """A client of the Octavo that runs for the project in a folder (the current one unless given).

        Raises
        ------
        Unavailable
            If none is running there.
        """
        home = find_root((folder or Path.cwd()).resolve()) / ".octavo"
        try:
            token = (home / "token").read_text(encoding="ascii").strip()
        except OSError as error:
            raise Unavailable("this project has no token yet; start it with: octavo up") from error
        return cls(_url_of(home, "control"), _url_of(home, "predictor"), token=token, timeout_s=timeout_s)

    def call(self, operation: str, **fields: object) -> Any:
        """Run an operation by name, as listed in the OpenAPI description."""
        return self.control.call("POST", f"/api/{operation}", fields)

    def predict(self, deployment: str, rows: Sequence[Row]) -> Any:
        """Predict for rows of request fields and entity keys.

        Returns
        -------
        dict
            ``deployment``, ``model`` and one of ``predictions`` per row, each with ``id``, ``value``, ``version`` and the
            status of each feature.
        """
        return self.predictor.call("POST", f"/predict/{deployment}", {"rows": rows})

    def send_events(self, source: str, rows: Sequence[Row]) -> Any:
        """Send events of a source; when it returns they are kept."""
        return self.control.call("POST", f"/events/{source}", {"rows": rows})

    def send_outcomes(self, rows: Sequence[Row]) -> Any:
        """Send the truth about predictions: ``prediction`` (its id) and ``value``."""
        return self.control.call("POST", "/outcomes", {"rows": rows})

    def advance_clock(self, to: datetime) -> Any:
        """Move a replay's clock, once everything that was sent has been applied."""
        return self.control.call("POST", "/api/clock", {"to": to})

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


def _url_of(home: Path, process: str) -> str:
    file = home / "run" / f"{process}.json"
    try:
        document = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise Unavailable(f"no {process} process is running for this project; start it with: octavo up") from error
    return f"http://{document['host']}:{document['port']}"
