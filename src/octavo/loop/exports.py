"""What a project does, in the form of other programs."""

from dataclasses import dataclass, field

from octavo.loop.airflow import Airflow, dag_id, dag_of
from octavo.operations import Context, Operations

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportAirflow:
    """A DAG of Airflow for each model, or for one.

    Attributes
    ----------
    folder, command : str
        The project and the program ``octavo`` on Airflow's workers; the project's folder here unless given.
    """

    model: str | None = None
    folder: str = ""
    command: str = "octavo"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedDag:
    """The file of a DAG.

    Attributes
    ----------
    schedule : str
        The crons that it goes by, and their zone; empty for none.
    """

    model: str
    dag: str
    schedule: str
    text: str = field(repr=False)


@operations.operation("export.airflow", request=ExportAirflow, permission="models:read")
def export_airflow(request: ExportAirflow, context: Context) -> tuple[ExportedDag, ...]:
    """Write what is done for models as DAGs of Airflow."""
    project = context.project
    models = [project.model(request.model)] if request.model else list(project.models.values())
    deployed = {deployment.model.name for deployment in project.deployments.values()}
    exported = []
    for model in models:
        into = Airflow(
            project=project.name,
            folder=request.folder or str(context.config.root.resolve()),
            command=request.command,
            deployed=model.name in deployed,
        )
        crons = [f"{trigger.cron} {trigger.zone}" for trigger in model.retrain if trigger.cron is not None]
        exported.append(
            ExportedDag(
                model=model.name,
                dag=dag_id(project.name, model.name),
                schedule=", ".join(crons),
                text=dag_of(model, into),
            )
        )
    return tuple(exported)
