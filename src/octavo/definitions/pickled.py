"""Estimators that are kept as pickles: said by whoever trains them, never assumed."""

from typing import Any


class Pickled:
    """A fitted estimator that is to be kept as a pickle. Made by `pickled`.

    It answers as the estimator does, with whatever methods that has.

    Attributes
    ----------
    estimator
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "estimator":
            raise AttributeError(name)
        return getattr(self.estimator, name)


def pickled(estimator: Any) -> Pickled:
    """Keep a fitted estimator as a pickle, which is code.

    For what no other format keeps, such as a class of the project's own. A project must allow it (``[models]
    allow_pickle``), each version needs a person's word (``octavo models vouch``), and the model runs in a
    process of its own that can do nothing but answer.

    Parameters
    ----------
    estimator
        With ``predict``, and ``predict_proba`` for a binary model.
    """
    return Pickled(estimator)
