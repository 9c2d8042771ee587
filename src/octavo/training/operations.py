"""All that can be done in training, of which this brings together the parts."""

from octavo.operations import Operations
from octavo.training.tracking.artifacts import operations as artifact_operations
from octavo.training.tracking.comparison import operations as comparison_operations
from octavo.training.tracking.experiment_operations import operations as experiment_operations
from octavo.training.tracking.links import operations as link_operations
from octavo.training.tracking.logged_models import operations as logged_model_operations
from octavo.training.tracking.operations import ListRuns as ListRuns
from octavo.training.tracking.operations import ShowRun as ShowRun
from octavo.training.tracking.operations import list_runs as list_runs
from octavo.training.tracking.operations import operations as run_operations
from octavo.training.tracking.operations import show_run as show_run

operations = Operations()
operations.include(run_operations)
operations.include(experiment_operations)
operations.include(artifact_operations)
operations.include(comparison_operations)
operations.include(link_operations)
operations.include(logged_model_operations)
