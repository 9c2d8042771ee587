"""What a sweep tries next: Optuna proposes, and is told what came of it. Nothing is kept by it."""

import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from octavo.definitions.sweeps import Range, RangeKind, Sweep
from octavo.errors import MissingExtra
from octavo.training.trials import new_reports


class Study:
    """Proposes hyperparameters by a tree-structured Parzen estimator (Bergstra et al., NIPS 2011).

    Raises
    ------
    MissingExtra
        If Optuna is not installed.
    """

    def __init__(self, sweep: Sweep, *, higher_is_better: bool) -> None:
        self._optuna = optuna = _optuna()
        self._ranges = sweep.ranges
        self._distributions = {name: self._distribution(where) for name, where in self._ranges.items()}
        self._study = optuna.create_study(
            direction="maximize" if higher_is_better else "minimize",
            sampler=optuna.samplers.TPESampler(seed=sweep.seed),
            pruner=optuna.pruners.MedianPruner() if sweep.prune else optuna.pruners.NopPruner(),
        )

    def ask(self) -> Any:
        """A trial with `params`; it takes reports, and says whether it should be pruned."""
        return self._study.ask(self._distributions)

    def tell(self, trial: Any, *, value: float | None, pruned: bool) -> None:
        """What came of a trial; None for a value if it failed."""
        self._study.tell(trial, value, self._state(value, pruned=pruned))

    def remember(self, params: Mapping[str, str], *, value: float | None, pruned: bool) -> None:
        """What came of a trial that is on record."""
        read = {name: _read(params[name], where) for name, where in self._ranges.items()}
        self._study.add_trial(
            self._optuna.trial.create_trial(
                params=read,
                distributions=self._distributions,
                value=value,
                state=self._state(value, pruned=pruned) or self._optuna.trial.TrialState.COMPLETE,
            )
        )

    def _state(self, value: float | None, *, pruned: bool) -> Any:
        states = self._optuna.trial.TrialState
        if pruned:
            return states.PRUNED
        return states.FAIL if value is None else None

    def _distribution(self, where: Range) -> Any:
        kinds = self._optuna.distributions
        if where.kind is RangeKind.CHOICE:
            return kinds.CategoricalDistribution(where.choices)
        if where.kind is RangeKind.INT:
            return kinds.IntDistribution(int(where.low), int(where.high), log=where.log)
        return kinds.FloatDistribution(where.low, where.high, log=where.log)


class Pruning:
    """Whether a trial is to be ended: as all are, or as it reports to be worse than most before it."""

    def __init__(self, trial: Any, folder: Path, *, stopped: threading.Event, prune: bool) -> None:
        self.trial = trial
        self.pruned = False
        self.reports: list[tuple[int, float]] = []
        self._folder = folder
        self._stopped = stopped
        self._prune = prune

    def is_set(self) -> bool:
        return self._stopped.is_set() or self.pruned

    def wait(self, timeout: float | None = None) -> bool:
        if self._stopped.wait(timeout):
            return True
        for step, value in new_reports(self._folder, after=len(self.reports)):
            self.reports.append((step, value))
            if self._prune and math.isfinite(value):
                self.trial.report(value, step)
                self.pruned = self.pruned or bool(self.trial.should_prune())
        return self.is_set()


def text_of(where: Range, value: Any) -> str:
    """A value in a range as text."""
    if where.kind is RangeKind.CHOICE:
        return str(value)
    return str(int(value)) if where.kind is RangeKind.INT else repr(float(value))


def _read(text: str, where: Range) -> str | int | float:
    if where.kind is RangeKind.CHOICE:
        return text
    return int(float(text)) if where.kind is RangeKind.INT else float(text)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra("tuning", "a sweep") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
