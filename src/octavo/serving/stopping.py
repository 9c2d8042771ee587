"""What a predictor says while a deployment is stopped, and no model is asked: its constant, or that it is stopped."""

from octavo.definitions.fallbacks import Fallback
from octavo.errors import Stopped
from octavo.release.manifests import DeploymentManifest


def refusal_of_stopped(manifest: DeploymentManifest) -> Stopped:
    """The error for a request to a stopped deployment."""
    deployment = manifest.deployment
    return Stopped(
        f"deployment {deployment!r} is stopped and asks no model until a person starts it again: {manifest.stopped}",
        deployment=deployment,
    )


def constant_of(manifest: DeploymentManifest) -> Fallback:
    """What answers in the place of a stopped deployment's models.

    Raises
    ------
    Stopped
        If it declares nothing that could.
    """
    if isinstance(manifest.on_stop, Fallback):
        return manifest.on_stop
    raise refusal_of_stopped(manifest)
