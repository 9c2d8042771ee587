"""A trained model with its parts, proven: each by itself, and their golden rows together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.errors import TrainingFailed
from octavo.registry.bundles import Golden
from octavo.registry.formats import Format
from octavo.registry.formats.choice import format_of
from octavo.registry.golden import spread
from octavo.registry.parity import Parity
from octavo.registry.parts import PARTS, PARTS_FOLDER, KeptPart, Parts, encode_parts
from octavo.registry.proving import Proven, Subject, prove
from octavo.training.estimators import predict
from octavo.training.fit import TrainedModel
from octavo.training.frames import words_of
from octavo.training.routing import Partitioned, Routes

Floats = npt.NDArray[np.float64]
_PARENT = "model/"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProvenWhole:
    """A model as it answers.

    Attributes
    ----------
    parent : Proven
        The whole model, if it has no parts.
    golden : Golden
        Rows of the parent, among them the real ones, and of each part.
    parity : Parity
        The worst, and all that is refused.
    predictions : ndarray, shape (n_holdout,), float64
        For the held-out rows, by the form that versions are compared by.
    parts : mapping of place to Proven
        By the place of its word; the one with most training rows first.
    by : str
        The category of those words.
    words : tuple of str
        The category's vocabulary.
    """

    parent: Proven
    golden: Golden
    parity: Parity
    predictions: Floats
    parts: Mapping[int, Proven] = field(default_factory=dict)
    by: str = ""
    words: tuple[str, ...] = ()

    def files(self) -> dict[str, bytes]:
        """All models as files of a bundle."""
        files = self.parent.files(_PARENT)
        if not self.parts:
            return files
        kept = []
        for place, part in self.parts.items():
            kept.append(KeptPart(word=self.words[place], folder=_folder(place), forms=part.forms))
            files |= part.files(_folder(place))
        return {**files, PARTS: encode_parts(Parts(by=self.by, parts=tuple(kept)))}


def native_files(estimator: Any) -> dict[str, bytes]:
    """An estimator and its parts as their own formats keep them: files of a bundle.

    Raises
    ------
    TrainingFailed
        If one is of no library that is kept.
    """
    if not isinstance(estimator, Partitioned):
        return {f"{_PARENT}{name}": data for name, data in format_of(estimator).save(estimator).items()}
    files = native_files(estimator.parent)
    for place, part in estimator.parts.items():
        files |= {f"{_folder(place)}{name}": data for name, data in format_of(part).save(part).items()}
    return files


def _folder(place: int) -> str:
    return f"{PARTS_FOLDER}{place}/"


def prove_whole(trained: TrainedModel, *, timer: Callable[[], float], kept_as: Format | None = None) -> ProvenWhole:
    """Prove a model with all of its parts.

    Forms are measured for the parent and for the part with most training rows; the other parts go by the latter.

    Parameters
    ----------
    timer, kept_as
        As for `octavo.registry.proving.prove`.

    Raises
    ------
    TrainingFailed
        If the model, or a part, can be served neither compiled nor by its own library, or a part is of another format.
    """
    estimator, data, task = trained.estimator, trained.training_set, trained.model.task
    words = words_of(data.holdout.columns, data.train.categories)
    with np.errstate(over="ignore"):
        real = data.holdout.X.astype(np.float32)  # as a predictor rounds them
    if not isinstance(estimator, Partitioned):
        subject = Subject(estimator=estimator, real=data.holdout.X, task=task, words=words)
        alone = prove(subject, timer=timer, kept_as=kept_as)
        return ProvenWhole(parent=alone, golden=alone.golden, parity=alone.parity, predictions=alone.judged(real))
    parent = prove(Subject(estimator=estimator.parent, real=data.holdout.X, task=task, words=words), timer=timer)
    parts = _parts(trained, estimator, timer=timer, library=parent.library)
    by = data.train.columns[estimator.column]
    judged = Routes(parent.judged, {place: part.judged for place, part in parts.items()}, column=estimator.column)
    return ProvenWhole(
        parent=parent,
        golden=_golden(
            parent, parts, column=estimator.column, native=partial(predict, estimator, task=task, words=words)
        ),
        parity=_together(parent, parts),
        predictions=judged.predict(real),
        parts=parts,
        by=by,
        words=data.train.categories[by],
    )


def _parts(
    trained: TrainedModel, estimator: Partitioned, *, timer: Callable[[], float], library: str
) -> dict[int, Proven]:
    """Each part by the place of its word, the one with most training rows first."""
    data, column = trained.training_set, estimator.column
    words = words_of(data.holdout.columns, data.train.categories)
    known = data.train.categories[data.train.columns[column]]
    sizes = {place: int((data.train.X[:, column] == place).sum()) for place in estimator.parts}
    proven: dict[int, Proven] = {}
    for place in sorted(estimator.parts, key=lambda place: (-sizes[place], place)):
        subject = Subject(
            estimator=estimator.parts[place],
            real=data.holdout.X[data.holdout.X[:, column] == place],
            task=trained.model.task,
            words=words,
            only=(column, place),
        )
        alike = next(iter(proven.values())).forms if proven else None
        try:
            proven[place] = prove(subject, timer=timer, alike=alike)
        except TrainingFailed as error:
            raise TrainingFailed(f"the part for {known[place]!r}: {error.message}") from error
        if proven[place].library != library:
            raise TrainingFailed(
                f"the part for {known[place]!r} is kept as {proven[place].library}, the model for all as {library}; "
                "let the training function return the same kind of estimator for all rows and for those of one word"
            )
    return proven


def _golden(parent: Proven, parts: Mapping[int, Proven], *, column: int, native: Callable[[Floats], Floats]) -> Golden:
    """The parent's rows that no part answers, after the real ones; then a few of each part."""
    golden = parent.golden
    is_kept = ~np.isin(golden.rows[:, column], list(parts))
    is_kept[: golden.n_real] = True
    rows = np.vstack([golden.rows[is_kept], *(spread(part.golden.rows) for part in parts.values())])
    return replace(golden, rows=rows, expected=native(rows.astype(np.float64)))


def _together(parent: Proven, parts: Mapping[int, Proven]) -> Parity:
    every = [parent.parity, *(part.parity for part in parts.values())]
    return Parity(
        worst=max(one.worst for one in every),
        proven=parent.parity.proven,
        refused=tuple(dict.fromkeys(kind for one in every for kind in one.refused)),
    )
