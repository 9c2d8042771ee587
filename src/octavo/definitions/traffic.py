"""Who gets which answer besides the rollout: experiments, holdouts and exploration.

Shares are percentages with at most two decimals, so that each is a whole number of the 10,000 buckets into which units
fall.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from octavo.definitions.models import Model
from octavo.definitions.types import check_name, seconds
from octavo.errors import InvalidDefinition

CONTROL = "control"
EXPLORED = ("live", "previous", "canary")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentArm:
    """A part of an experiment's units.

    Attributes
    ----------
    percent : float
        Of the deployment's units.
    model : Model or None
        Whose versions answer here; the deployment's own if None.
    """

    name: str
    percent: float
    model: Model | None


@dataclass(frozen=True, slots=True, init=False)
class Experiment:
    """A comparison of versions, each on its own share of the units, over a fixed time.

    Parameters
    ----------
    name : str
        Decides which units come into which arm, independently of canaries and of other experiments.
    arms : mapping of name to percentage
        One is ``control``: it keeps the version that is live when the experiment starts. Each other one answers with
        the version that it is started with. Units in no arm are answered as if there were no experiment.
    length : str
        How long it is to run before it is judged. It goes on until it is stopped or promoted.
    models : mapping of name to Model
        For arms that another model answers, which takes the same request.
    """

    name: str
    arms: tuple[ExperimentArm, ...]
    length_s: int

    def __init__(
        self, name: str, *, arms: Mapping[str, float], length: str = "14d", models: Mapping[str, Model] | None = None
    ) -> None:
        check_name(name, what="experiment")
        models = models or {}
        for arm, percent in arms.items():
            check_name(arm, what="arm")
            check_percent(percent, what=f"experiment {name!r}: arm {arm!r}")
        _check_arms(name, arms, models)
        put = object.__setattr__
        put(self, "name", name)
        put(
            self,
            "arms",
            tuple(ExperimentArm(name=arm, percent=float(p), model=models.get(arm)) for arm, p in arms.items()),
        )
        put(self, "length_s", seconds(length, what="experiment length"))


@dataclass(frozen=True, slots=True)
class Holdout:
    """Units that keep the version that was live when the holdout began, so that the worth of all later ones shows.

    Parameters
    ----------
    percent : float
        Of the deployment's units.
    """

    percent: float

    def __post_init__(self) -> None:
        check_percent(self.percent, what="holdout")


@dataclass(frozen=True, slots=True, init=False)
class Explore:
    """Answers from a version drawn at random, so that what was not chosen can be judged too.

    Predictions are drawn, not units. Units in an experiment or a holdout are left out.

    Parameters
    ----------
    percent : float
        Of the other predictions.
    among : mapping of role to weight
        Which versions are drawn, and how often: ``live``, ``previous`` (which the live one replaced) and ``canary``.
        The weight of one that there is not at the moment goes to the live version.
    """

    percent: float
    among: tuple[tuple[str, float], ...]

    def __init__(self, percent: float, *, among: Mapping[str, float] | None = None) -> None:
        weights = {"live": 1.0, "previous": 1.0} if among is None else among
        check_percent(percent, what="exploration")
        unknown = [role for role in weights if role not in EXPLORED]
        if unknown or not weights or min(weights.values()) <= 0:
            raise InvalidDefinition(
                f"exploration among {dict(weights)}: name some of {', '.join(EXPLORED)}, each with a weight above 0"
            )
        object.__setattr__(self, "percent", float(percent))
        object.__setattr__(self, "among", tuple((role, float(weight)) for role, weight in weights.items()))


def check_percent(percent: float, *, what: str) -> None:
    """Refuse what is no share in whole hundredths of a percent.

    Raises
    ------
    InvalidDefinition
    """
    if not 0 < percent <= 100 or abs(percent * 100 - round(percent * 100)) > 1e-6:
        raise InvalidDefinition(f"{what}: {percent} is no percentage above 0, up to 100, with at most two decimals")


def _check_arms(name: str, arms: Mapping[str, float], models: Mapping[str, Model]) -> None:
    if CONTROL not in arms or len(arms) < 2:
        raise InvalidDefinition(
            f"experiment {name!r}: arms {list(arms)} need one named {CONTROL!r}, which keeps the live version, and one "
            "at least to compare with it"
        )
    if sum(arms.values()) > 100 + 1e-6:
        raise InvalidDefinition(f"experiment {name!r}: its arms take {sum(arms.values()):g} % of the units; 100 is all")
    for arm in models:
        if arm not in arms or arm == CONTROL:
            raise InvalidDefinition(
                f"experiment {name!r}: models names {arm!r}, which is none of the arms beside {CONTROL!r}"
            )
