"""A project in a folder with features of the airline and a published version of a model, as a predictor finds it."""

from pathlib import Path

import airline
import functions
import lightgbm
import msgspec
import numpy as np

import octavo as oc
from octavo.access import ensure_admin, local_token
from octavo.clock import ManualClock, from_micros
from octavo.config import Config, load_config
from octavo.definitions.models import Model, Task
from octavo.definitions.plans import plan_lookup
from octavo.features.events.ingest import ingest_table
from octavo.features.online.pump import Pump
from octavo.registry import bundles
from octavo.registry.bundles import BundleFile, BundleManifest, Golden
from octavo.registry.compiled import CompiledModel
from octavo.registry.formats.lightgbm import LightGBM
from octavo.registry.golden import encode_golden
from octavo.registry.signing import Signer
from octavo.release.manifests import Arm, DeploymentManifest, SignedManifest, document_name, encode
from octavo.release.statements import ReleaseStatement, with_statement
from octavo.serving.watcher import PURPOSE
from octavo.stores.objects import ObjectArtifacts

TREES = 200


@oc.model(
    features=[
        *airline.views.values(),
        functions.hour,
        functions.weekday,
        oc.request("departed", oc.Timestamp),
        oc.request("distance", oc.Float64),
    ],
    label=oc.Label(airline.flights, "arr_delay", at="departed"),
    metrics=["mae"],
    holdout="7d",
)
def arr_delay(train: oc.Dataset) -> lightgbm.Booster:
    """Trees that say something about every input."""
    return lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(train.X, train.y), TREES)


def make_project(root: Path, *, flights: int) -> str:
    """Make the project; its clock stands where the last flight has just arrived. Returns a token."""
    table = airline.flights_table(flights)
    now_us = airline.end_of(table)
    (root / "octavo.toml").write_text(
        '[project]\nname = "airline"\n[predictor]\nport = 0\ngrpc_port = 0\n'
        f'[clock]\nmode = "replay"\nstart = "{from_micros(now_us).isoformat()}"\n',
        encoding="utf-8",
    )
    config = load_config(root, {})
    ensure_admin(config.home)
    stores, clock = airline.local_stores(config.home, sync=False), ManualClock(from_micros(now_us))
    ingest_table(table, airline.flights, stream=stores.stream, clock=clock)
    pump = Pump(stores, airline.project_of(), clock)
    while pump.apply("flights"):
        pass
    stores.online.close()
    publish(config)
    return local_token(config.home)


def publish(config: Config) -> None:
    """Publish a version as the only one of deployment ``eta``."""
    artifacts = ObjectArtifacts(config.path(config.stores.artifacts))
    publish_version(
        config,
        project="airline",
        deployment="eta",
        model="arr_delay",
        version=1,
        digest=publish_bundle(artifacts),
        sequence=1,
    )


def publish_version(
    config: Config, *, project: str, deployment: str, model: str, version: int, digest: str, sequence: int
) -> None:
    """Publish the signed manifest by which a deployment is served by one version alone."""
    arm = Arm(role="live", model=model, version=version, digest=digest, percent=100)
    signer, artifacts = (
        Signer(config.home / "keys" / "release.key"),
        ObjectArtifacts(config.path(config.stores.artifacts)),
    )
    statement = ReleaseStatement(
        project=project,
        deployment=deployment,
        model=model,
        version=version,
        digest=digest,
        schema=bundles.decode_manifest(artifacts.get(digest), digest=digest).files[bundles.PLAN].digest,
        stage=arm.role,
        counter=sequence,
        issued_at_us=0,
    )
    arm = with_statement(arm, statement, signer)
    manifest = DeploymentManifest(
        project=project, deployment=deployment, sequence=sequence, unit=None, arms=(arm,), published_at_us=0
    )
    payload = encode(manifest)
    document = msgspec.json.encode(SignedManifest(payload=payload, signature=signer.sign(PURPOSE, payload)))
    artifacts.publish(document_name(deployment), document)


def publish_bundle(artifacts: ObjectArtifacts, model: Model = arr_delay) -> str:
    """Train on noise, pack what a predictor needs, and return the bundle's digest."""
    plan, random = plan_lookup(model), np.random.default_rng(1)
    X = random.normal(10, 30, (5_000, len(plan.inputs)))
    booster = model.train(
        oc.Dataset(columns=plan.inputs, X=X, y=X.sum(axis=1), times=np.zeros(len(X), "datetime64[us]"))
    )
    onnx = LightGBM().to_onnx(booster, n_inputs=len(plan.inputs), task=Task.REGRESSION)
    golden = Golden(rows=X[:20].astype(np.float32), expected=CompiledModel(onnx).predict(X[:20]), tolerance=1e-4)
    files = {
        bundles.ONNX: onnx,
        bundles.PLAN: msgspec.json.encode(plan),
        bundles.GOLDEN: encode_golden(golden),
        bundles.REPORT: b"{}",
        bundles.PROVENANCE: b"{}",
        bundles.CARD: b"",
        bundles.ENVIRONMENT: b"",
        "code/functions.py": Path(functions.__file__).read_bytes(),
    }
    listed = {name: BundleFile(digest=artifacts.put(data), size_bytes=len(data)) for name, data in files.items()}
    manifest = BundleManifest(layout=1, project="airline", model=model.name, format="lightgbm", files=listed)
    return artifacts.put(msgspec.json.encode(manifest, order="deterministic"))
