"""Deployments: which model answers under which name, how a new version takes over, and how it is watched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from octavo.definitions.approvals import ApprovalRule, rule_by_tier
from octavo.definitions.fallbacks import OnStop, OnUnread, check_on_unread, on_stop_of
from octavo.definitions.guards import Guards
from octavo.definitions.models import Model
from octavo.definitions.traffic import Experiment, Explore, Holdout
from octavo.definitions.types import check_name, seconds
from octavo.errors import InvalidDefinition, NotFound

MANUAL = "manual"


@dataclass(frozen=True, slots=True, init=False)
class Rollout:
    """How a new version takes over from the live one.

    Parameters
    ----------
    shadow : str or None
        How long it first answers beside the live version, unseen by callers.
    shadow_steps : sequence of int
        Percentages of the predictions that it answers so, rising; each for the time of `shadow`.
    steps : sequence of int
        Percentages of traffic, rising, ending at 100.
    bake : str
        How long each step before the last is watched; ``manual``: until a person has it go on.
    approval : str, Approval, or mapping of tier to either
        ``policy``: a version that passed its gates is approved by that. ``manual``: a person approves. The tier is the
        model's (low, medium, high); one without a tier counts as high.
    guards : Guards
        What takes it back by itself.

    Attributes
    ----------
    bake_s : int or None
        None if a person has each step go on.
    """

    shadow_s: int
    shadow_steps: tuple[int, ...]
    steps: tuple[int, ...]
    bake_s: int | None
    approval: tuple[tuple[str, ApprovalRule], ...]
    guards: Guards

    def __init__(
        self,
        *,
        shadow: str | None = "1h",
        shadow_steps: Sequence[int] = (100,),
        steps: Sequence[int] = (10, 50, 100),
        bake: str = "1h",
        approval: ApprovalRule | Mapping[str, ApprovalRule] = "policy",
        guards: Guards | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "shadow_s", seconds(shadow, what="shadow time") if shadow else 0)
        put(self, "shadow_steps", tuple(shadow_steps))
        put(self, "steps", tuple(steps))
        put(self, "bake_s", None if bake == MANUAL else seconds(bake, what="bake time"))
        put(self, "approval", rule_by_tier(approval))
        put(self, "guards", guards or Guards())
        if not _rise(steps) or steps[-1] != 100:
            raise InvalidDefinition(f"rollout steps {list(steps)} must rise from at least 1 and end at 100")
        if not _rise(shadow_steps):
            raise InvalidDefinition(f"rollout shadow steps {list(shadow_steps)} must rise, from 1 to at most 100")

    @property
    def stages(self) -> int:
        """In how many stages with traffic a version is judged before it is live."""
        return (len(self.shadow_steps) if self.shadow_s else 0) + len(self.steps) - 1

    def rule(self, tier: str) -> ApprovalRule:
        """Whose word a release of a model of a tier needs; one of no known tier counts as high."""
        rules = dict(self.approval)
        return rules.get(tier, rules["high"])


def _rise(steps: Sequence[int]) -> bool:
    return bool(steps) and list(steps) == sorted(set(steps)) and steps[0] >= 1 and steps[-1] <= 100


@dataclass(frozen=True, slots=True, init=False)
class Monitor:
    """What is watched, and from which size on it is an incident.

    Parameters
    ----------
    every : str
        How often it is looked at.
    window : str
        The stretch of predictions that is compared with the training set.
    drift : float
        Population stability index beyond what is usual in the training rows, weighted by importance over the inputs,
        from which drift is an incident.
    degradation : float
        Growth of the error over matured outcomes against the held-out rows, from which it is an incident: 0.25 is a
        quarter.
    missing : float
        Share of missing or default values of one input, above what is usual in training, from which it is a quality
        incident.
    min_rows : int
        Fewer predictions or outcomes in the window than this are not judged.
    """

    every_s: int
    window_s: int
    drift: float
    degradation: float
    missing: float
    min_rows: int

    def __init__(
        self,
        *,
        every: str = "1h",
        window: str = "24h",
        drift: float = 0.25,
        degradation: float = 0.25,
        missing: float = 0.2,
        min_rows: int = 200,
    ) -> None:
        put = object.__setattr__
        put(self, "every_s", seconds(every, what="monitor interval"))
        put(self, "window_s", seconds(window, what="monitor window"))
        put(self, "drift", drift)
        put(self, "degradation", degradation)
        put(self, "missing", missing)
        put(self, "min_rows", min_rows)
        if self.window_s < self.every_s:
            raise InvalidDefinition(f"monitor: its window {window!r} is shorter than its interval {every!r}")


@dataclass(frozen=True, slots=True, init=False)
class Deployment:
    """A name under which a model answers.

    Parameters
    ----------
    name : str
    model : Model
    rollout : Rollout
    monitor : Monitor
    unit : str or None
        The entity key or request field by whose hash traffic is split; the prediction id unless given.
    on_unread : str or Fallback
        What is done with rows of which the online store cannot be read, as far as no default stands in: ``predict``
        with what is left, ``reject`` the request (503), or `fallback` to a constant answer.
    on_stop : str or Fallback or None
        What is done with requests while the deployment is stopped: ``reject`` (503), or a constant answer. The constant
        of `on_unread` unless given, or else ``reject``.
    experiments : sequence of Experiment
        Those that may be started; one runs at a time.
    holdout : Holdout or None
    explore : Explore or None
    """

    name: str
    model: Model
    rollout: Rollout
    monitor: Monitor
    unit: str | None
    on_unread: OnUnread
    on_stop: OnStop
    experiments: tuple[Experiment, ...]
    holdout: Holdout | None
    explore: Explore | None

    def __init__(
        self,
        name: str,
        *,
        model: Model,
        rollout: Rollout | None = None,
        monitor: Monitor | None = None,
        unit: str | None = None,
        on_unread: OnUnread = "predict",
        on_stop: OnStop | None = None,
        experiments: Sequence[Experiment] = (),
        holdout: Holdout | None = None,
        explore: Explore | None = None,
    ) -> None:
        check_name(name, what="deployment")
        check_on_unread(on_unread, deployment=name)
        put = object.__setattr__
        put(self, "name", name)
        put(self, "model", model)
        put(self, "rollout", rollout or Rollout())
        put(self, "monitor", monitor or Monitor())
        put(self, "unit", unit)
        put(self, "on_unread", on_unread)
        put(self, "on_stop", on_stop_of(on_stop, on_unread, deployment=name))
        put(self, "experiments", tuple(experiments))
        put(self, "holdout", holdout)
        put(self, "explore", explore)
        names = [experiment.name for experiment in experiments]
        if len(set(names)) < len(names):
            raise InvalidDefinition(f"deployment {name!r} declares two experiments of one name: {', '.join(names)}")

    def experiment(self, name: str) -> Experiment:
        """The experiment of a name.

        Raises
        ------
        NotFound
            If it declares none of that name.
        """
        for experiment in self.experiments:
            if experiment.name == name:
                return experiment
        known = [experiment.name for experiment in self.experiments]
        raise NotFound(f"experiment of deployment {self.name!r}", name, known)
