"""A model as a bundle says that it is served: by the form that answers so many rows the soonest, and part by part.

Light: a predictor imports it. A native form imports its library, and loops import numba, only if the bundle says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module

import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import LookupPlan
from octavo.errors import IntegrityError, MissingExtra
from octavo.registry.bundles import FORMS, BundleManifest
from octavo.registry.compiled import CompiledModel
from octavo.registry.formats.tiers import PICKLE, PICKLE_FILE
from octavo.registry.forms import COMPILED_ALONE, Form, Forms, alone, decode_forms
from octavo.registry.jail.opening import Jail
from octavo.registry.loops import LOOPS, read_loops
from octavo.registry.parts import PARTS, decode_parts
from octavo.training.routing import Routes

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
Outputs = Callable[[Rows], Floats]
_FORMATS = "octavo.registry.formats.choice"
_FOLDER, _COMPILED, _CODE = "model/", "model.onnx", "code/"
_MADE = frozenset({_COMPILED, *(one.file for one in LOOPS.values())})


class ServedModel:
    """A model in all forms that serve.

    Parameters
    ----------
    forms : Forms
    outputs : mapping of form to callable
        Each of `forms.used`.
    width : int or None
        How many columns it is known to take.
    """

    def __init__(self, forms: Forms, outputs: Mapping[Form, Outputs], *, width: int | None = None) -> None:
        self.forms, self.width = forms, width
        self.by_form = {form: outputs[form] for form in forms.used}
        self._rising = [(choice.from_rows, self.by_form[choice.form]) for choice in forms.forms]
        self._falling = self._rising[::-1]
        self._only = self._rising[0][1] if len(self._rising) == 1 else None

    def predict(self, matrix: Rows) -> Floats:
        """Predictions, shape (n_rows,), for a matrix of shape (n_rows, n_inputs), float32.

        Raises
        ------
        IntegrityError
            If the runtime fails.
        """
        if self._only is not None:
            return self._only(matrix)
        n_rows = len(matrix)
        for from_rows, outputs in self._falling:
            if n_rows >= from_rows:
                return outputs(matrix)
        return self._rising[0][1](matrix)


class PartitionedModel:
    """A model whose parts answer the rows of their words; all else the parent does.

    Parameters
    ----------
    parts : mapping of place to ServedModel
    column : int
        Of the matrix, where the place of the word stands.
    """

    def __init__(self, parent: ServedModel, parts: Mapping[int, ServedModel], *, column: int) -> None:
        self.forms, self.width, self.parts = parent.forms, parent.width, parts
        self._parent, self._column = parent, column
        self.predict = self._routes(lambda model: model.predict)

    @property
    def by_form(self) -> dict[Form, Outputs]:
        """The whole in each form that any of its models is served in; where one is not, by what it is served in."""
        models = (self._parent, *self.parts.values())
        used = dict.fromkeys(form for model in models for form in model.by_form)
        return {form: self._routes(partial(_in_form, form)) for form in used}

    def _routes(self, outputs: Callable[[ServedModel], Outputs]) -> Outputs:
        parts = {place: outputs(part) for place, part in self.parts.items()}
        return Routes(outputs(self._parent), parts, column=self._column).predict


def _in_form(form: Form, model: ServedModel) -> Outputs:
    return model.by_form.get(form, model.predict)


Served = ServedModel | PartitionedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What a bundle keeps of one model: of the whole, of the parent, or of a part."""

    format: str
    forms: Forms
    files: Mapping[str, str]
    """The name in the bundle of each, by its name in the model's folder."""
    read: Callable[[str], bytes]
    code: tuple[str, ...] = ()
    """The names of the project's modules, below `_CODE`."""
    jail: Jail | None = None

    @property
    def loops(self) -> Form | None:
        """The form of loops that is there, if one is."""
        return next((form for form, one in LOOPS.items() if one.file in self.files), None)

    def compiled(self) -> CompiledModel:
        if _COMPILED not in self.files:
            raise IntegrityError("the bundle lacks a compiled model that it says it is served by; pack it again")
        return CompiledModel(self.read(self.files[_COMPILED]))

    def native(self, plan: LookupPlan) -> Outputs:
        """By name, so that nobody who imports this imports a library of models."""
        if self.format == PICKLE:
            return self._jailed(plan)
        files = {name: self.read(whole) for name, whole in self.files.items() if name not in _MADE}
        outputs: Outputs = import_module(_FORMATS).load_native(
            self.format, files, columns=plan.inputs, categories=plan.categories
        )
        return outputs

    def _jailed(self, plan: LookupPlan) -> Outputs:
        if self.jail is None:
            raise IntegrityError(
                f"model {plan.model!r} is a pickle, which is code; it is opened only where [models] allow_pickle is set"
            )
        code = {name.removeprefix(_CODE): self.read(name) for name in self.code}
        return self.jail.open(self.read(PICKLE_FILE), plan, code=code)

    def looped(self, form: Form) -> Outputs:
        file = LOOPS[form].file
        if file not in self.files:
            raise IntegrityError(f"the bundle lacks {file}, by which it says it is served; pack it again")
        return read_loops(form, self.read(self.files[file]))


def open_served(
    manifest: BundleManifest, plan: LookupPlan, *, read: Callable[[str], bytes], jail: Jail | None = None
) -> Served:
    """The model of a bundle, with its parts.

    Where the library of a native form is not installed, or is one that its list of types is not for, the compiled one
    or loops stand in, if they are there.

    Parameters
    ----------
    read : callable
        A file of the bundle by its name.
    jail : Jail or None
        Where pickles are opened; None where they are not.

    Raises
    ------
    IntegrityError
        If a form cannot be loaded, or its library is not installed and no other form is there.
    """
    parent = _open(_parent(manifest, read=read, jail=jail), plan)
    parts, column = _parts(manifest, plan, read=read)
    if not parts:
        return parent
    return PartitionedModel(parent, {place: _open(part, plan) for place, part in parts.items()}, column=column)


def open_judged(
    manifest: BundleManifest, plan: LookupPlan, *, read: Callable[[str], bytes], jail: Jail | None = None
) -> Outputs:
    """The model of a bundle by the form that versions are compared by: the compiled one where there is one, else loops.

    All forms answer alike but for the last digits, and which of them serves hangs on the machine that packed it; so the
    same model is judged the same.

    Raises
    ------
    IntegrityError
        As by `open_served`.
    """
    parent = _judged(_parent(manifest, read=read, jail=jail), plan)
    parts, column = _parts(manifest, plan, read=read)
    if not parts:
        return parent
    return Routes(parent, {place: _judged(part, plan) for place, part in parts.items()}, column=column).predict


def _parent(manifest: BundleManifest, *, read: Callable[[str], bytes], jail: Jail | None) -> _Kept:
    forms = decode_forms(read(FORMS) if FORMS in manifest.files else None)
    files = _below(_FOLDER, manifest)
    code = tuple(sorted(name for name in manifest.files if name.startswith(_CODE)))
    return _Kept(format=manifest.format, forms=forms, files=files, read=read, code=code, jail=jail)


def _parts(manifest: BundleManifest, plan: LookupPlan, *, read: Callable[[str], bytes]) -> tuple[dict[int, _Kept], int]:
    """The parts by the place of their word, and the column of the places; none, and 0, if the model has no parts.

    A part is of the format, and so of the tier, that the manifest tells of the whole.
    """
    if PARTS not in manifest.files:
        return {}, 0
    parts = decode_parts(read(PARTS))
    if manifest.format == PICKLE:
        raise IntegrityError(f"model {plan.model!r} is a pickle with parts, which nothing packs; train it again")
    kept = {
        place: _Kept(format=manifest.format, forms=part.forms, files=_below(part.folder, manifest), read=read)
        for place, part in parts.by_place(plan).items()
    }
    return kept, plan.inputs.index(parts.by)


def _below(folder: str, manifest: BundleManifest) -> dict[str, str]:
    return {name.removeprefix(folder): name for name in manifest.files if name.startswith(folder)}


def _open(kept: _Kept, plan: LookupPlan) -> ServedModel:
    forms = kept.forms
    outputs: dict[Form, Outputs] = {}
    if Form.NATIVE in forms.used:
        try:
            outputs[Form.NATIVE] = kept.native(plan)
        except MissingExtra as error:
            forms = _without_native(kept, plan, error)
    outputs |= {form: kept.looped(form) for form in forms.used if form in LOOPS}
    if Form.COMPILED not in forms.used:
        return ServedModel(forms, outputs)
    compiled = kept.compiled()
    return ServedModel(forms, {**outputs, Form.COMPILED: compiled.predict}, width=compiled.width)


def _without_native(kept: _Kept, plan: LookupPlan, error: MissingExtra) -> Forms:
    """Another form in place of those that were chosen."""
    if _COMPILED in kept.files:
        return COMPILED_ALONE
    if kept.loops is not None:
        return alone(kept.loops)
    raise IntegrityError(
        f"model {plan.model!r} is served by its own library, which is not installed here: {error.message}"
    ) from error


def _judged(kept: _Kept, plan: LookupPlan) -> Outputs:
    if _COMPILED in kept.files:
        return kept.compiled().predict
    return _open(kept, plan).predict if kept.loops is None else kept.looped(kept.loops)
