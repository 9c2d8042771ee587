"""How much of what failed may be tried again, so that retries do not add to what a server suffers from."""

_SHARE = 0.1
_MOST = 100.0


class RetryBudget:
    """Each try earns a tenth of a retry; a hundred retries can be saved up, which is also what there is at first."""

    def __init__(self) -> None:
        self._saved = _MOST

    def earn(self) -> None:
        """Count one try."""
        if self._saved < _MOST:
            self._saved += _SHARE

    def spend(self, retries: int) -> bool:
        """Take out some retries, all or none; whether there were enough."""
        if retries > self._saved:
            return False
        self._saved -= retries
        return True
