"""What a model answers while it is trained and judged: its estimator's output, and what comes after it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Model, Task
from octavo.errors import TrainingFailed
from octavo.features.answers import with_answer
from octavo.training.estimators import predict
from octavo.training.frames import words_of

Floats = npt.NDArray[np.float64]


def answers_by(model: Model, estimator: Any, rows: Dataset) -> Callable[[Floats], Floats]:
    """The answers for a matrix with the columns and the words of some rows; NaN where there is none."""
    words = words_of(rows.columns, rows.categories)
    outputs = partial(predict, estimator, task=model.task, words=words)
    return with_answer(outputs, model.answer, inputs=rows.columns, categories=rows.categories)


def check_answers(model: Model, answers: Floats) -> None:
    """Refuse answers that cannot be judged; what an estimator says is checked where it says it.

    Raises
    ------
    TrainingFailed
        If one is not finite, or no probability where one is asked for.
    """
    if model.answer is None:
        return
    said = f"{model.answer}, which comes after model {model.name!r},"
    if not np.isfinite(answers).all():
        raise TrainingFailed(
            f"{said} gave NaN or infinity for {int((~np.isfinite(answers)).sum()):,} of {len(answers):,} rows; inputs "
            "that are missing are NaN there, so say what it answers then, as by np.where(np.isnan(x), ..., ...)"
        )
    if model.task is Task.BINARY and not ((answers >= 0) & (answers <= 1)).all():
        raise TrainingFailed(
            f"{said} gave {answers.min():g} to {answers.max():g}, which are no probabilities; keep it in 0 to 1, as by "
            "np.clip(..., 0, 1)"
        )
