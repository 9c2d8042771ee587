"""What wrong decisions cost."""

import math
from dataclasses import dataclass

from octavo.errors import InvalidDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What it costs to decide by a binary model, for the table of thresholds in its report.

    Parameters
    ----------
    false_positive, false_negative : float
        Of one case that is decided wrongly, in any unit.
    true_positive, true_negative : float
        Of one case that is decided rightly; below 0 where something is gained.
    """

    false_positive: float
    false_negative: float
    true_positive: float = 0.0
    true_negative: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.all)):
            raise InvalidDefinition("oc.Costs: costs are finite numbers")

    @property
    def all(self) -> tuple[float, float, float, float]:
        return (self.true_positive, self.false_positive, self.false_negative, self.true_negative)
