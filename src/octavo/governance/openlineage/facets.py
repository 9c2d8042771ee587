"""Facets of our own, beside OpenLineage's: what it has no words for yet."""

from importlib.metadata import version

import attr
from openlineage.client.generated.base import DatasetFacet, RunFacet

PRODUCER = f"https://pypi.org/project/octavo/{version('octavo')}/"
_SCHEMAS = "urn:octavo:openlineage"


@attr.define(kw_only=True)
class TrainingRunFacet(RunFacet):
    """Why a model was trained, with what, and how well it does; on the run, as ``octavo_training``."""

    model: str
    trigger: str
    asOf: str  # noqa: N815  as facets are written
    rows: int
    code: str
    metrics: dict[str, float]
    params: dict[str, str]

    @staticmethod
    def _get_schema() -> str:
        return f"{_SCHEMAS}:TrainingRunFacet:1"


@attr.define(kw_only=True)
class ReleaseRunFacet(RunFacet):
    """Who asked for a release, who approved it and by which policy; on the run, as ``octavo_release``."""

    cause: str
    author: str
    approvers: list[str]
    policy: str
    state: str
    reason: str

    @staticmethod
    def _get_schema() -> str:
        return f"{_SCHEMAS}:ReleaseRunFacet:1"


@attr.define(kw_only=True)
class ModelVersionDatasetFacet(DatasetFacet):
    """A model version: its bundle and whether it passed its gates; on the dataset, as ``octavo_model_version``."""

    model: str
    version: int
    bundle: str
    passed: bool
    gates: list[str]

    @staticmethod
    def _get_schema() -> str:
        return f"{_SCHEMAS}:ModelVersionDatasetFacet:1"
