"""OpenLineage events of what the records say: each has a key of its own, so that it is told once."""

import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent, RunState
from openlineage.client.event_v2 import Run as OpenLineageRun
from openlineage.client.facet_v2 import (
    dataset_version_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    schema_dataset,
)
from openlineage.client.generated.base import DatasetFacet, RunFacet
from openlineage.client.serde import Serde

from octavo.features.datasets.snapshots import DatasetSnapshot
from octavo.governance.lineage.facts import tables_read
from octavo.governance.openlineage.facets import (
    PRODUCER,
    ModelVersionDatasetFacet,
    ReleaseRunFacet,
    TrainingRunFacet,
)
from octavo.registry.versions import ModelVersion
from octavo.release.releases import Release, ReleaseState
from octavo.training.runs import Run, RunStatus

_ENDS = {
    RunStatus.SUCCEEDED: RunState.COMPLETE,
    RunStatus.KILLED: RunState.ABORT,
    RunStatus.LOST: RunState.ABORT,
}
_NAMES = uuid.UUID("b6f0c1de-6f3c-5d2c-9d0a-5b1f0c7e7a11")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event and its key.

    Attributes
    ----------
    key : str
        ``run/ID/START``.
    body : str
        The event, JSON.
    """

    key: str
    body: str


class Events:
    """Writes events of one project.

    Parameters
    ----------
    namespace : str
        Of its jobs and datasets.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def of_run(self, run: Run, version: ModelVersion | None, *, returns: int, now: datetime) -> Iterator[Told]:
        """Of a training, or of another run: that it began, that it goes on after it was lost, and how it ended.

        Parameters
        ----------
        returns : int
            How often it was told of as lost and was heard of again.
        """
        name = f"train.{run.model}" if run.model else f"run.{run.belongs_to or 'default'}"
        job, inputs = self._job(name, kind="TRAINING"), [self._dataset(run.dataset)] if run.dataset else []
        key = f"run/{run.id}"
        if run.status is RunStatus.REQUESTED:
            return
        facets = self._run_facets(run)
        yield self._told(f"{key}/START", RunState.START, run.started_at, run.id, job, facets, inputs=inputs)
        if returns:
            at = min(now, run.finished_at or now)
            yield self._told(returned_key(run, returns), RunState.RUNNING, at, run.id, job, facets, inputs=inputs)
        if not run.status.ended:
            return
        state = _ENDS.get(run.status, RunState.FAIL)
        if run.error:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=run.error, programmingLanguage="PYTHON", producer=PRODUCER
            )
        outputs = [] if version is None else [self._version(version)]
        at, end = run.finished_at or run.started_at, f"{key}/{state.value}"
        end = lost_key(run, returns) if run.status is RunStatus.LOST else end
        yield self._told(end, state, at, run.id, job, facets, inputs=inputs, outputs=outputs)

    def of_dataset(self, snapshot: DatasetSnapshot) -> Iterator[Told]:
        """Of a dataset: that it was built, from which tables in which versions."""
        job, run = self._job("datasets.build", kind="DATASET"), str(uuid.uuid5(_NAMES, snapshot.digest))
        inputs = [
            InputDataset(
                namespace=self._namespace,
                name=f"events/{source}",
                facets={"version": _version_facet(str(version))},
            )
            for source, version in tables_read(snapshot)
        ]
        columns = [
            schema_dataset.SchemaDatasetFacetFields(name=column.name, type=column.type) for column in snapshot.columns
        ]
        output = OutputDataset(
            namespace=self._namespace,
            name=f"datasets/{snapshot.digest}",
            facets={
                "version": _version_facet(snapshot.digest),
                "schema": schema_dataset.SchemaDatasetFacet(fields=columns, producer=PRODUCER),
            },
            outputFacets={
                "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                    rowCount=snapshot.rows, producer=PRODUCER
                )
            },
        )
        for state in (RunState.START, RunState.COMPLETE):
            key = f"dataset/{snapshot.digest}/{state.value}"
            yield self._told(key, state, snapshot.built_at, run, job, {}, inputs=inputs, outputs=[output])

    def of_release(self, release: Release, version: ModelVersion | None) -> Iterator[Told]:
        """Of a release: that it was asked for, and whether it came to be live or was taken back before."""
        job, key = self._job(f"release.{release.deployment}", kind="RELEASE"), f"release/{release.id}"
        inputs = [] if version is None else [self._as_input(version)]
        outputs = [OutputDataset(namespace=self._namespace, name=f"deployments/{release.deployment}")]
        facets = {"octavo_release": _release_facet(release, state="requested", reason=release.cause)}
        yield self._told(
            f"{key}/START",
            RunState.START,
            release.requested_at,
            release.id,
            job,
            facets,
            inputs=inputs,
            outputs=outputs,
        )
        end = next((step for step in release.history if step.state is ReleaseState.LIVE or step.state.is_final), None)
        if end is None:
            return
        states = {ReleaseState.LIVE: RunState.COMPLETE, ReleaseState.RETIRED: RunState.ABORT}
        state = states.get(end.state, RunState.FAIL)
        facets = {"octavo_release": _release_facet(release, state=str(end.state), reason=end.reason)}
        yield self._told(f"{key}/{state.value}", state, end.at, release.id, job, facets, inputs=inputs, outputs=outputs)

    def _told(
        self,
        key: str,
        state: RunState,
        at: datetime,
        run: str,
        job: Job,
        facets: Mapping[str, RunFacet],
        *,
        inputs: list[InputDataset],
        outputs: list[OutputDataset] | None = None,
    ) -> Told:
        event = RunEvent(
            eventType=state,
            eventTime=_time(at),
            run=OpenLineageRun(runId=run, facets=dict(facets)),
            job=job,
            inputs=inputs,
            outputs=outputs or [],
            producer=PRODUCER,
        )
        return Told(key=key, body=Serde.to_json(event))

    def _job(self, name: str, *, kind: str) -> Job:
        facet = job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="OCTAVO", jobType=kind, producer=PRODUCER
        )
        return Job(namespace=self._namespace, name=name, facets={"jobType": facet})

    def _dataset(self, digest: str) -> InputDataset:
        return InputDataset(
            namespace=self._namespace, name=f"datasets/{digest}", facets={"version": _version_facet(digest)}
        )

    def _version(self, version: ModelVersion) -> OutputDataset:
        return OutputDataset(namespace=self._namespace, name=f"models/{version.key}", facets=_version_facets(version))

    def _as_input(self, version: ModelVersion) -> InputDataset:
        return InputDataset(namespace=self._namespace, name=f"models/{version.key}", facets=_version_facets(version))

    def _run_facets(self, run: Run) -> dict[str, RunFacet]:
        facet = TrainingRunFacet(
            model=run.model,
            trigger=run.trigger,
            asOf=_time(run.as_of),
            rows=run.rows,
            code=run.code,
            metrics={name: value for name, value in run.metrics.items() if math.isfinite(value)},
            params=dict(run.params),
            producer=PRODUCER,
        )
        facets: dict[str, RunFacet] = {"octavo_training": facet}
        if run.parent:
            facets["parent"] = parent_run.ParentRunFacet(
                run=parent_run.Run(runId=run.parent),
                job=parent_run.Job(namespace=self._namespace, name=f"run.{run.belongs_to or 'default'}"),
                producer=PRODUCER,
            )
        return facets


def lost_key(run: Run, returns: int) -> str:
    """The key of the event that a run is lost; another one each time it is lost again."""
    return f"run/{run.id}/LOST/{returns}"


def returned_key(run: Run, returns: int) -> str:
    """The key of the event that a run goes on that was lost."""
    return f"run/{run.id}/RUNNING/{returns}"


def _release_facet(release: Release, *, state: str, reason: str) -> ReleaseRunFacet:
    return ReleaseRunFacet(
        cause=release.cause,
        author=release.author,
        approvers=sorted({approval.by for approval in release.approvals}),
        policy=release.policy,
        state=state,
        reason=reason,
        producer=PRODUCER,
    )


def _version_facets(version: ModelVersion) -> dict[str, DatasetFacet]:
    own = ModelVersionDatasetFacet(
        model=version.model,
        version=version.version,
        bundle=version.digest,
        passed=version.passed,
        gates=[f"{result.gate}: {'passed' if result.passed else 'failed'}" for result in version.gates],
        producer=PRODUCER,
    )
    return {"version": _version_facet(version.digest), "octavo_model_version": own}


def _version_facet(version: str) -> dataset_version_dataset.DatasetVersionDatasetFacet:
    return dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version, producer=PRODUCER)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
