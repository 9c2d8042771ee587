"""A model as a bundle says that it is served: by the form that answers so many rows the soonest.

Light: a predictor imports it. A native form imports its library, and only if the bundle says so.
"""

from collections.abc import Callable, Mapping
from importlib import import_module

import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import LookupPlan
from octavo.errors import IntegrityError, MissingExtra
from octavo.registry.bundles import FORMS, ONNX, BundleManifest
from octavo.registry.compiled import CompiledModel
from octavo.registry.forms import COMPILED_ALONE, Form, Forms, decode_forms

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
Outputs = Callable[[Rows], Floats]
_FORMATS = "octavo.registry.formats.choice"
_FOLDER = "model/"


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


def open_served(manifest: BundleManifest, plan: LookupPlan, *, read: Callable[[str], bytes]) -> ServedModel:
    """The model of a bundle.

    Where the library of a native form is not installed, the compiled one stands in, if there is one.

    Parameters
    ----------
    read : callable
        A file of the bundle by its name.

    Raises
    ------
    IntegrityError
        If a form cannot be loaded, or its library is not installed and no other form is there.
    """
    forms = decode_forms(read(FORMS) if FORMS in manifest.files else None)
    outputs: dict[Form, Outputs] = {}
    if Form.NATIVE in forms.used:
        try:
            outputs[Form.NATIVE] = _native(manifest, plan, read=read)
        except MissingExtra as error:
            if ONNX not in manifest.files:
                raise IntegrityError(
                    f"model {manifest.model!r} is served by its own library, which is not installed here: "
                    f"{error.message}"
                ) from error
            forms = COMPILED_ALONE
    if Form.COMPILED not in forms.used:
        return ServedModel(forms, outputs)
    compiled = CompiledModel(read(ONNX))
    return ServedModel(forms, {**outputs, Form.COMPILED: compiled.predict}, width=compiled.width)


def open_judged(manifest: BundleManifest, plan: LookupPlan, *, read: Callable[[str], bytes]) -> Outputs:
    """The model of a bundle by the form that versions are compared by: the compiled one wherever there is one.

    All forms answer alike but for the last digits, and which of them serves hangs on the machine that packed it; so the
    same model is judged the same.

    Raises
    ------
    IntegrityError
        As by `open_served`.
    """
    if ONNX in manifest.files:
        return CompiledModel(read(ONNX)).predict
    return open_served(manifest, plan, read=read).predict


def _native(manifest: BundleManifest, plan: LookupPlan, *, read: Callable[[str], bytes]) -> Outputs:
    """By name, so that nobody who imports this imports a library of models."""
    names = [name for name in manifest.files if name.startswith(_FOLDER) and name != ONNX]
    files = {name.removeprefix(_FOLDER): read(name) for name in names}
    outputs: Outputs = import_module(_FORMATS).load_native(
        manifest.format, files, columns=plan.inputs, categories=plan.categories
    )
    return outputs
