"""The logs in which a predictor's workers keep what they predicted, as whoever ships them sees them."""

from collections.abc import Mapping
from pathlib import Path

from octavo.serving.fellows import log_folders
from octavo.stores.log import LocalLog


class PredictorLogs:
    """The logs of all workers that a project's predictor has or had, opened when they appear.

    Parameters
    ----------
    home : Path
        The project's platform folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._open: dict[int, LocalLog] = {}

    def all(self) -> Mapping[int, LocalLog]:
        """The logs by their workers' numbers; the first is there even if nothing is in it yet."""
        for number, folder in log_folders(self._home).items():
            if number not in self._open:
                self._open[number] = LocalLog(folder, sync=False)
        return self._open

    def close(self) -> None:
        """Release what is held."""
        for log in self._open.values():
            log.close()
