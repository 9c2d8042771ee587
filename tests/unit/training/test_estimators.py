"""What is taken for a fitted estimator, and what it may answer."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from octavo.definitions.models import Task
from octavo.errors import TrainingFailed
from octavo.training.estimators import check, predict

Floats = npt.NDArray[np.float64]
REGRESSION, BINARY = Task.REGRESSION, Task.BINARY
ROWS = np.arange(6.0).reshape(3, 2)


class Regressor:
    """Answers what it was made with."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, rows: Floats) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Classifier(Regressor):
    classes_: Any = np.array([0, 1])

    def predict_proba(self, rows: Floats) -> Any:
        return self.answer


class Decider(Regressor):
    classes_: Any = np.array([0, 1])


def test_a_regressor_answers_one_number_per_row() -> None:
    assert predict(Regressor([1, 2, 3]), ROWS, task=REGRESSION).tolist() == [1.0, 2.0, 3.0]


def test_a_classifier_answers_the_probability_of_class_one() -> None:
    chances = [[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]]
    assert predict(Classifier(chances), ROWS, task=BINARY).tolist() == [0.1, 0.5, 1.0]


def test_a_booster_answers_probabilities_by_predict() -> None:
    assert predict(Regressor([0.1, 0.5, 1.0]), ROWS, task=BINARY).tolist() == [0.1, 0.5, 1.0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([1.0, 2.0], r"shape \(2,\) for 3 rows"),
        ([[1.0], [2.0], [3.0]], r"shape \(3, 1\) for 3 rows"),
        ([1.0, np.nan, np.inf], "NaN or infinity for 2 rows"),
        (["a", "b", "c"], "raised ValueError when it was asked for 3 predictions"),
        (KeyError("x"), "raised KeyError when it was asked for 3 predictions: 'x'"),
        (TrainingFailed("mine"), "^mine$"),
    ],
)
def test_an_unusable_answer_is_named(answer: Any, words: str) -> None:
    with pytest.raises(TrainingFailed, match=words):
        predict(Regressor(answer), ROWS, task=REGRESSION)


def test_what_is_no_probability_is_refused_with_what_to_return() -> None:
    with pytest.raises(TrainingFailed, match=r"-1 to 2, which are no probabilities; return a classifier"):
        predict(Regressor([-1.0, 0.5, 2.0]), ROWS, task=BINARY)


@pytest.mark.parametrize(
    ("estimator", "task", "words"),
    [
        (None, REGRESSION, "returned None; return the fitted estimator"),
        ("model", REGRESSION, "returned a str, which has no predict method"),
        (Classifier([]), REGRESSION, "Classifier is a classifier, but the label is a number; return a regressor"),
        (Decider([]), BINARY, "Decider gives no probabilities; return a classifier with predict_proba"),
    ],
)
def test_what_is_no_estimator_of_the_task_is_refused_with_what_to_return(
    estimator: Any, task: Task, words: str
) -> None:
    with pytest.raises(TrainingFailed, match=words):
        check(estimator, task=task)


@pytest.mark.parametrize("classes", [[0], [1], [0, 1, 2], ["no", "yes"], [1, 2]])
def test_a_classifier_of_other_classes_than_zero_and_one_is_refused(classes: list[Any]) -> None:
    estimator = Classifier([])
    estimator.classes_ = np.array(classes)
    with pytest.raises(TrainingFailed, match="instead of 0 and 1; both must occur in y"):
        check(estimator, task=BINARY)


@pytest.mark.parametrize("classes", [[0, 1], [0.0, 1.0], [False, True]])
def test_zero_and_one_may_be_of_any_type(classes: list[Any]) -> None:
    estimator = Classifier([])
    estimator.classes_ = np.array(classes)
    check(estimator, task=BINARY)


def test_a_regressor_may_have_an_empty_list_of_classes() -> None:
    estimator = Regressor([1.0])
    estimator.classes_ = np.array([])  # type: ignore[attr-defined]  # as CatBoost's has
    check(estimator, task=REGRESSION)
