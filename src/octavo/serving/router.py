"""Which version answers a request: a stable hash of its unit against the arms' shares."""

from collections.abc import Sequence
from hashlib import blake2b

from octavo.release.manifests import Arm

_BUCKETS = 100


class Router:
    """Splits the traffic of one deployment among the arms that answer.

    A unit keeps its arm while a canary grows; which units come first differs from version to version.

    Parameters
    ----------
    deployment : str
    arms : sequence of Arm, not empty
        What their shares leave over goes to the live one, or to the last where none is live.
    """

    def __init__(self, deployment: str, arms: Sequence[Arm]) -> None:
        rest = next((place for place, arm in enumerate(arms) if arm.role == "live"), len(arms) - 1)
        buckets = [place for place, arm in enumerate(arms) if place != rest for _ in range(arm.percent)][:_BUCKETS]
        self._places = buckets + [rest] * (_BUCKETS - len(buckets))
        versions = [str(arm.version) for arm in arms if arm.role != "live"]
        self._salt = ("\0".join([deployment, *versions]) + "\0").encode()
        self.only = self._places[0] if len(set(self._places)) == 1 else None
        """The place of the arm that answers everything, if one does."""

    def place(self, unit: str) -> int:
        """The place, among `arms`, of the one that answers a unit."""
        digest = blake2b(self._salt + unit.encode(), digest_size=8).digest()
        return self._places[int.from_bytes(digest, "big") % _BUCKETS]
