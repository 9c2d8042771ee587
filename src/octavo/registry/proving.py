"""One trained model in its forms: compiled, tried against the native one row by row, and measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.errors import IntegrityError, TrainingFailed
from octavo.registry.bundles import Golden
from octavo.registry.choosing import choose_forms, forms_alike
from octavo.registry.compiled import CompiledModel
from octavo.registry.formats import Format, OfLoops, Outputs
from octavo.registry.formats.choice import format_of
from octavo.registry.forms import Form, Forms
from octavo.registry.golden import choose_rows
from octavo.registry.loops import LOOPS, read_loops
from octavo.registry.parity import TOLERANCE, Parity, Trial, hard_trials, prove_parity, settled
from octavo.training.estimators import predict
from octavo.training.frames import Words

Floats = npt.NDArray[np.float64]
_COMPILED = "model.onnx"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """An estimator that is to be proven: a whole model, a parent or a part.

    Attributes
    ----------
    real : ndarray, shape (n_rows, n_inputs), float64, at least one row
        Held-out ones.
    only : (column, place) or None
        Of a part, the category that it is for and its word: it is asked for no other.
    """

    estimator: Any
    real: Floats
    task: Task
    words: Words | None
    only: tuple[int, int] | None = None

    @property
    def native(self) -> Callable[[Floats], Floats]:
        return partial(predict, self.estimator, task=self.task, words=self.words)

    def trials(self, library: Format) -> tuple[Trial, ...]:
        """All rows that it is tried on, the held-out ones first."""
        sizes = {place: len(known) for place, known in self.words.by_place.items()} if self.words else {}
        hard = hard_trials(self.real, thresholds=library.thresholds(self.estimator), categories=sizes)
        trials = (Trial(kind="held-out rows", rows=self.real), *hard)
        return trials if self.only is None else tuple(settled(trial, *self.only) for trial in trials)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proven:
    """A model in its forms, proven equal, and which of them serve.

    Attributes
    ----------
    library : str
        The name of its format.
    onnx : bytes or None
        None if it cannot be compiled, or not so that it answers as the native one.
    loops : mapping of name to bytes
        The file that loops of ours answer from; none if they do not answer as the native one, or neither serve nor are
        what is judged by.
    judged : callable
        The form that versions are compared by.
    """

    library: str
    native: Mapping[str, bytes]
    onnx: bytes | None
    loops: Mapping[str, bytes]
    forms: Forms
    golden: Golden
    parity: Parity
    judged: Outputs

    def files(self, folder: str) -> dict[str, bytes]:
        """All of it, below a folder of a bundle."""
        compiled = {} if self.onnx is None else {_COMPILED: self.onnx}
        files = {**compiled, **self.loops, **self.native}
        return {f"{folder}{name}": data for name, data in files.items()}


def prove(
    subject: Subject, *, timer: Callable[[], float], kept_as: Format | None = None, alike: Forms | None = None
) -> Proven:
    """Compile, prove parity and measure.

    Parameters
    ----------
    timer : callable
        Seconds, by which the forms are measured.
    kept_as : Format or None
        Unless it is the format that its type tells.
    alike : Forms or None
        What was measured for a model of the same kind, to be gone by instead of measuring.

    Raises
    ------
    TrainingFailed
        If the model can be served neither compiled nor by its own library.
    """
    estimator, words, native = subject.estimator, subject.words, subject.native
    library = kept_as or format_of(estimator)
    trials = subject.trials(library)
    kept = library.save(estimator)
    onnx, parity, uncompiled = _compiled(subject, library, trials)
    outputs: dict[Form, Outputs] = {} if onnx is None else {Form.COMPILED: CompiledModel(onnx).predict}
    again = library.load(kept, words=words)
    if library.serves:
        outputs[Form.NATIVE] = again
    loops = _looped(subject, library, trials)
    outputs |= {form: read_loops(form, data) for form, data in loops.items()}
    parity = parity or prove_parity(trials, native=native, compiled=again)
    rows = choose_rows(parity.proven)
    prove_parity([Trial(kind="golden rows", rows=rows)], native=native, compiled=again)
    if alike is None:
        forms = choose_forms(outputs, subject.real, timer=timer, uncompiled=uncompiled)
    else:
        forms = forms_alike(alike, outputs, uncompiled=uncompiled)
    golden = Golden(
        rows=rows.astype(np.float32),
        expected=native(rows),
        tolerance=TOLERANCE,
        n_real=len(choose_rows(parity.proven[:1])),
    )
    return Proven(
        library=library.name,
        native=kept,
        onnx=onnx,
        loops={LOOPS[form].file: data for form, data in loops.items() if onnx is None or form in forms.used},
        forms=forms,
        golden=golden,
        parity=parity,
        judged=next((outputs[form] for form in (Form.COMPILED, *loops) if form in outputs), again),
    )


def _compiled(subject: Subject, library: Format, trials: Sequence[Trial]) -> tuple[bytes | None, Parity | None, str]:
    """The compiled form with what trials have shown of it; or none, and why.

    Raises
    ------
    TrainingFailed
        If there is none, and its library cannot serve it.
    """
    native, n_inputs = subject.native, subject.real.shape[1]
    native(trials[0].rows)  # what cannot answer the held-out rows is no model
    try:
        onnx = library.to_onnx(subject.estimator, n_inputs=n_inputs, task=subject.task, words=subject.words)
        compiled = CompiledModel(onnx)
        parity = prove_parity(trials, native=native, compiled=compiled.predict)
        alone = Trial(kind="golden rows, one at a time", rows=choose_rows(parity.proven))
        prove_parity([alone], native=native, compiled=partial(_one_by_one, compiled.predict))
    except (TrainingFailed, IntegrityError) as error:
        if not library.serves:
            raise
        return None, None, error.message
    return onnx, parity, ""


def _looped(subject: Subject, library: Format, trials: Sequence[Trial]) -> dict[Form, bytes]:
    """The model for loops of ours; nothing if there are none for it, or they do not answer alike."""
    if not isinstance(library, OfLoops):
        return {}
    try:
        data = library.to_loops(subject.estimator, n_inputs=subject.real.shape[1], words=subject.words)
        outputs = read_loops(library.loops, data)
        parity = prove_parity(trials, native=subject.native, compiled=outputs)
        alone = Trial(kind="golden rows, one at a time", rows=choose_rows(parity.proven))
        prove_parity([alone], native=subject.native, compiled=partial(_one_by_one, outputs))
    except TrainingFailed:
        return {}
    return {library.loops: data}


def _one_by_one(outputs: Outputs, rows: Floats) -> Floats:
    """What the model answers for each row alone, as most requests ask."""
    return np.concatenate([outputs(row[None]) for row in rows])
