"""What runs read and made, data sets and logged models, in MLflow's form."""

from octavo.api.mlflow.calls import Answer, Call, Method, Pair, Sent, listed, pairs
from octavo.training.tracking.links import DatasetRead, LinkRun, RunLinks


class _Dataset(Sent):
    name: str = ""
    digest: str = ""
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class _DatasetInput(Sent):
    dataset: _Dataset
    tags: tuple[Pair, ...] = ()


class _Model(Sent):
    model_id: str
    step: int = 0


class _Links(Sent):
    run_id: str
    datasets: tuple[_DatasetInput, ...] = ()
    models: tuple[_Model, ...] = ()


def inputs_document(links: RunLinks) -> Answer:
    """What a run read, in MLflow's form."""
    datasets = [
        {
            "tags": listed(one.tags),
            "dataset": {
                "name": one.name,
                "digest": one.digest,
                "source_type": one.source_type,
                "source": one.source,
                "schema": one.schema,
                "profile": one.profile,
            },
        }
        for one in links.datasets
    ]
    return {"dataset_inputs": datasets, "model_inputs": [{"model_id": one} for one in links.read]}


def outputs_document(links: RunLinks) -> Answer:
    """What a run made, in MLflow's form."""
    return {"model_outputs": [{"model_id": one, "step": links.steps.get(one, 0)} for one in links.made]}


def _link_inputs(sent: _Links, call: Call) -> Answer:
    datasets = tuple(
        DatasetRead(
            name=one.dataset.name,
            digest=one.dataset.digest,
            source_type=one.dataset.source_type,
            source=one.dataset.source,
            schema=one.dataset.schema,
            profile=one.dataset.profile,
            tags=pairs(one.tags),
        )
        for one in sent.datasets
    )
    call(LinkRun(run=sent.run_id, datasets=datasets, read=tuple(one.model_id for one in sent.models)))
    return {}


def _link_outputs(sent: _Links, call: Call) -> Answer:
    made = tuple(one.model_id for one in sent.models)
    call(LinkRun(run=sent.run_id, made=made, steps={one.model_id: one.step for one in sent.models}))
    return {}


METHODS = (
    Method("POST", "runs/log-inputs", "runs:write", _Links, _link_inputs),
    Method("POST", "runs/outputs", "runs:write", _Links, _link_outputs),
)
