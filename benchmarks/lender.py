"""The lender's project in a folder, with published versions of its models, as a predictor finds it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import airline
import credit
from published import publish_version

from octavo.access import ensure_admin, local_token
from octavo.clock import ManualClock, from_micros
from octavo.config import load_config
from octavo.features.events.ingest import ingest_table
from octavo.features.online.pump import Pump
from octavo.operations import SYSTEM, Context
from octavo.registry.packing import pack
from octavo.stores.objects import ObjectArtifacts
from octavo.training.fit import train

ROWS = 20_000


@dataclass(frozen=True, kw_only=True)
class Lender:
    """A project with trained models.

    Attributes
    ----------
    estimators : dict of model name to estimator
        As the training functions returned them.
    """

    context: Context
    token: str
    estimators: dict[str, Any]

    @property
    def root(self) -> Path:
        return self.context.config.root

    def publish(self, name: str, *, version: int = 1) -> str:
        """Train a model, pack it, and have the deployment of its name served by it alone; returns the bundle's digest.

        Each version learns from a day less than the one before.
        """
        as_of = self.context.clock.now() - timedelta(days=version - 1)
        trained = train(self.context, self.context.project.model(name), as_of=as_of)
        digest = pack(self.context, trained).digest
        self.estimators[name] = trained.estimator
        self.swap(name, version=version, digest=digest)
        return digest

    def swap(self, name: str, *, version: int, digest: str, sequence: int | None = None) -> None:
        """Have a deployment served by a bundle alone."""
        publish_version(
            self.context.config,
            project="credit",
            deployment=name,
            model=name,
            version=version,
            digest=digest,
            sequence=sequence or version,
        )


def make_lender(root: Path, names: Sequence[str], *, predictor: str = "grpc_port = 0") -> Lender:
    """Make the project with a table of its applications; nothing is trained yet.

    Parameters
    ----------
    predictor : str
        Further lines of the section ``[predictor]``.
    """
    (root / "octavo.toml").write_text(
        f'[project]\nname = "credit"\n[predictor]\nport = 0\n{predictor}\n', encoding="utf-8"
    )
    config = load_config(root, {})
    ensure_admin(config.home)
    stores = airline.local_stores(config.home, sync=False)
    stores = replace(stores, artifacts=ObjectArtifacts(config.path(config.stores.artifacts)))
    project = credit.project_of(*(credit.model_of(name) for name in names))
    clock = ManualClock(from_micros(credit.START + (credit.DAYS + 1) * credit.DAY))
    ingest_table(credit.applications_table(ROWS), credit.applications, stream=stores.stream, clock=clock)
    pump = Pump(stores, project, clock)
    while pump.apply("applications"):
        pass
    while pump.ship("applications"):
        pass
    stores.online.close()
    context = Context(config=config, clock=clock, stores=stores, project=project, principal=SYSTEM)
    return Lender(context=context, token=local_token(config.home), estimators={})
