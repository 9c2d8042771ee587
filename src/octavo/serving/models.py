"""A bundle made ready to answer: its ONNX model in memory, its own code loaded, its golden rows replayed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime

from octavo.definitions.features import OnDemand
from octavo.definitions.plans import LookupPlan
from octavo.errors import IntegrityError, PredictionFailed
from octavo.registry.bundles import Bundle
from octavo.serving.code import load_functions
from octavo.training.onnx import open_session

_WARM_ROWS = (1, 256)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedModel:
    """A model that answers.

    Attributes
    ----------
    functions : tuple of OnDemand
        In the order of the plan, from the code that travels in the bundle.
    recipe : tuple
        Equal for bundles that turn a request into the same row.
    """

    digest: str
    plan: LookupPlan
    functions: tuple[OnDemand, ...]
    recipe: tuple[object, ...]
    session: onnxruntime.InferenceSession
    input: str
    output: str

    def run(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Predict.

        Parameters
        ----------
        matrix : ndarray, shape (n_rows, n_inputs), float32

        Returns
        -------
        ndarray, shape (n_rows,), float64; possibly not finite.

        Raises
        ------
        PredictionFailed
            If the runtime fails or answers in another shape.
        """
        try:
            (output,) = self.session.run([self.output], {self.input: matrix})
        except Exception as error:  # the runtime's own exceptions share no base below it
            raise PredictionFailed(f"model {self.plan.model!r} ({self.digest[:19]}) failed: {error}") from error
        if output.size != len(matrix):
            raise PredictionFailed(f"model {self.plan.model!r} ({self.digest[:19]}) answered {output.shape} values")
        values: npt.NDArray[np.float64] = output.reshape(-1).astype(np.float64)
        return values


def load_model(bundle: Bundle) -> LoadedModel:
    """Make a verified bundle ready.

    Raises
    ------
    IntegrityError
        If the model cannot be loaded, does not take the plan's inputs, or answers its golden rows otherwise than when
        it was packed.
    """
    session = open_session(bundle.onnx.read_bytes(), what=f"bundle {bundle.digest}: its model")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].shape[-1] not in (len(bundle.plan.inputs), None):
        raise IntegrityError(
            f"bundle {bundle.digest}: its model takes no single matrix of the {len(bundle.plan.inputs)} planned inputs"
        )
    functions, code = load_functions(bundle)
    model = LoadedModel(
        digest=bundle.digest,
        plan=bundle.plan,
        functions=functions,
        recipe=(bundle.plan.inputs, bundle.plan.fields, bundle.plan.views, bundle.plan.functions, code),
        session=session,
        input=inputs[0].name,
        output=outputs[0].name,
    )
    bundle.golden.check(model.run(bundle.golden.rows), model=f"{bundle.plan.model} ({bundle.digest[:19]})")
    for rows in _WARM_ROWS:
        model.run(np.zeros((rows, len(bundle.plan.inputs)), dtype=np.float32))
    return model
