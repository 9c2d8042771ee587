"""How often each arm of a deployment answers.

Units are divided in this order: the holdout takes its share of all units; the experiment's arms take theirs of the
units left; of what is left then, some predictions are explored, and the canary and the live version divide the rest.
"""

from collections.abc import Sequence
from typing import Protocol

from octavo.errors import IntegrityError

LIVE, CANARY, SHADOW = "live", "canary", "shadow"
HOLDOUT, EXPERIMENT, EXPLORE = "holdout", "experiment", "explore"


class Share(Protocol):
    """An arm, as far as its share goes."""

    @property
    def role(self) -> str: ...

    @property
    def percent(self) -> float: ...


def taken(arms: Sequence[Share], role: str) -> float:
    """Which part the arms of a role take of what is left for them, in [0, 1]."""
    return sum(arm.percent for arm in arms if arm.role == role) / 100


def rest_of(arms: Sequence[Share]) -> int | None:
    """The place of the arm that answers what the others leave: the live one, or the last canary where none is live."""
    for role in (LIVE, CANARY):
        if places := [place for place, arm in enumerate(arms) if arm.role == role]:
            return places[-1]
    return None


def chances(arms: Sequence[Share]) -> tuple[float, ...]:
    """The probability that each arm is chosen to answer a prediction; 0 for a shadow. They sum to 1.

    Raises
    ------
    IntegrityError
        If the shares cannot be: one below 0, or those of one step above 100 % together.
    """
    held, tested, explored, grown = (taken(arms, role) for role in (HOLDOUT, EXPERIMENT, EXPLORE, CANARY))
    if max(held, tested, explored, grown) > 1 + 1e-9 or any(arm.percent < 0 for arm in arms):
        shares = ", ".join(f"{arm.role} {arm.percent:g} %" for arm in arms)
        raise IntegrityError(f"these shares are no division of the traffic: {shares}; publish the manifest again")
    rest = rest_of(arms)
    if rest is None:
        whole = sum(arm.percent for arm in arms if arm.role != SHADOW)
        return tuple(arm.percent / whole if arm.role != SHADOW and whole else 0.0 for arm in arms)
    of = {HOLDOUT: 1.0, EXPERIMENT: 1 - held}
    of[EXPLORE] = of[EXPERIMENT] * (1 - tested)
    of[CANARY] = of[EXPLORE] * (1 - explored)
    found = [of.get(arm.role, 0.0) * arm.percent / 100 for arm in arms]
    found[rest] = 0.0
    found[rest] = max(0.0, 1.0 - sum(found))
    return tuple(found)
