"""A bundle made ready to answer: its model in memory, its own code loaded, its golden rows replayed."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import LookupPlan
from octavo.errors import IntegrityError, PredictionFailed
from octavo.features.answers import AnswerColumns
from octavo.registry.bundles import Bundle, BundleManifest
from octavo.registry.formats.tiers import PICKLE_FILE
from octavo.registry.jail.opening import Jail
from octavo.registry.served import Served, open_served
from octavo.serving.code import OpenFunctions, code_of, run_here
from octavo.serving.functions import Functions, FunctionsHere

_WARM_ROWS = (1, 256)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedModel:
    """A model that answers.

    Attributes
    ----------
    functions : Functions
        Those of the plan, from the code that travels in the bundle.
    after : AnswerColumns or None
        What the function that comes after the model takes; None if the model's output is the answer.
    recipe : tuple
        Equal for bundles that turn a request into the same row.
    served : ServedModel or PartitionedModel
        The model itself, in each form that the bundle says.
    reference : ndarray, shape (n_rows, n_inputs), float32
        Real rows, held out from training: what is ordinary.
    thread : ThreadPoolExecutor or None
        Where a model with a process of its own is waited for, so that others are answered meanwhile; None of any other.
    """

    digest: str
    manifest: BundleManifest
    plan: LookupPlan
    functions: Functions
    recipe: tuple[object, ...]
    served: Served
    reference: npt.NDArray[np.float32]
    after: AnswerColumns | None = None
    thread: ThreadPoolExecutor | None = None

    @property
    def runs_code(self) -> bool:
        """Whether code of the bundle's own makes its answers, in processes that a request can bring down."""
        return bool(self.plan.functions) or self.after is not None or self.thread is not None

    async def answer(
        self, outputs: npt.NDArray[np.float64], matrix: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float64]:
        """What the function that comes after the model makes of its outputs; NaN where those are not finite.

        Raises
        ------
        PredictionFailed
            If it fails.
        Unavailable
            If its process does.
        """
        if self.after is None:
            return outputs
        said = self.after.of(outputs, matrix)
        if not said.n_rows:
            return np.full(len(outputs), np.nan)
        return said.spread(await self.functions.answer(said.columns, said.n_rows), n_rows=len(outputs))

    def run(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Ask the model, without what comes after it.

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
            return self.served.predict(matrix)
        except Exception as error:  # runtimes fail in any way; their exceptions share no base below it
            raise PredictionFailed(f"model {self.plan.model!r} ({self.digest[:19]}) failed: {error}") from error


def load_model(bundle: Bundle, *, open_functions: OpenFunctions = run_here, jail: Jail | None = None) -> LoadedModel:
    """Make a verified bundle ready.

    Parameters
    ----------
    open_functions : callable
        How the code that travels in the bundle is run, if its plan has functions.
    jail : Jail or None
        Where a pickle is opened, if it may be.

    Raises
    ------
    IntegrityError
        If the model cannot be loaded, does not take the plan's inputs, or answers its golden rows otherwise than when
        it was packed, in any form that serves, or what comes after it does.
    """
    served = _served(bundle, jail)
    code = code_of(bundle)
    model = LoadedModel(
        digest=bundle.digest,
        manifest=bundle.manifest,
        plan=bundle.plan,
        functions=open_functions(code) if code.functions or code.after else FunctionsHere(),
        recipe=(bundle.plan.inputs, bundle.plan.fields, bundle.plan.views, bundle.plan.functions, code.digest),
        served=served,
        reference=bundle.golden.reference,
        after=_after(bundle.plan),
        thread=ThreadPoolExecutor(1, "pickle") if PICKLE_FILE in bundle.manifest.files else None,
    )
    for form, outputs in served.by_form.items():
        bundle.golden.check(outputs(bundle.golden.rows), model=f"{bundle.plan.model} ({bundle.digest[:19]}) as {form}")
    for rows in _WARM_ROWS:
        model.run(np.zeros((rows, len(bundle.plan.inputs)), dtype=np.float32))
    return model


def _after(plan: LookupPlan) -> AnswerColumns | None:
    if plan.answer is None:
        return None
    return AnswerColumns(plan.answer.inputs, inputs=plan.inputs, categories=plan.categories)


def _served(bundle: Bundle, jail: Jail | None) -> Served:
    try:
        served = open_served(bundle.manifest, bundle.plan, read=bundle.read, jail=jail)
    except IntegrityError as error:
        raise IntegrityError(f"bundle {bundle.digest}: {error.message}") from error
    if served.width not in (len(bundle.plan.inputs), None):
        raise IntegrityError(
            f"bundle {bundle.digest}: its model takes no single matrix of the {len(bundle.plan.inputs)} planned inputs"
        )
    return served
