"""How far a predictor's documents have come, on its own disk: it never goes back, whatever else is lost there."""

from pathlib import Path

from octavo.errors import IntegrityError
from octavo.serving.status import write_atomically

FOLDER = "counters"


class Counters:
    """The highest number that was applied of each document, a file each; shared by a predictor's workers.

    Parameters
    ----------
    home : Path
        The predictor's folder.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER

    def of(self, path: str) -> int:
        """The highest number of a document that was applied; 0 if none was.

        Raises
        ------
        IntegrityError
            If that cannot be read.
        """
        file = self._folder / path
        try:
            return int(file.read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise IntegrityError(
                f"{file} cannot be read: {error}; restore it, or take it away if no older release was put back"
            ) from error

    def note(self, path: str, number: int) -> None:
        """Remember that a document was applied, before it is served by."""
        if self.of(path) < number:
            write_atomically(self._folder / path, f"{number}\n".encode("ascii"))
