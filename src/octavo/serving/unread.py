"""What is done with a request whose features cannot be read, where its deployment declares more than to predict."""

from dataclasses import replace

import numpy as np

from octavo.definitions.plans import LookupPlan
from octavo.errors import Unavailable
from octavo.features.values import FeatureStatus
from octavo.serving.inputs import Inputs
from octavo.serving.lineup import ServedArm
from octavo.serving.lookup import LookedUp

FALLBACK = "fallback"
"""The arm of answers that no model gave."""

_TOLD = 5


def lacking(plan: LookupPlan, looked_up: LookedUp) -> list[str]:
    """The inputs that could not be read, and for which no default stands in."""
    defaults = dict(zip(plan.inputs, plan.defaults, strict=True))
    return [name for name in looked_up.unread if defaults[name] is None]


def refusal(deployment: str, names: list[str]) -> Unavailable:
    """The error for a request that is not to be answered without these inputs."""
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return Unavailable(
        f"deployment {deployment!r} does not predict without features, and these cannot be read now: "
        f"{', '.join(names[:_TOLD])}{more}; try again in a moment",
        features=names,
    )


def as_fallback(served: ServedArm) -> ServedArm:
    """The arm under whose name a constant answers in the place of a version."""
    return replace(served, arm=replace(served.arm, role=FALLBACK))


def nothing_known(plan: LookupPlan, *, n_rows: int) -> Inputs:
    """The inputs of rows of which not even those that are computed could be made."""
    shape = n_rows, len(plan.inputs)
    return Inputs(np.full(shape, np.nan, np.float32), np.full(shape, FeatureStatus.UNREAD, np.uint8))
