"""The peers: how each is started with a fitted estimator, asked, and understood."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
from load import Server, one_answer, post
from peers.environments import python_of
from tensors import Row, by_column, in_one

from servers import free_port, started


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A server that others made.

    Attributes
    ----------
    request : callable
        The request for some rows, in which every value stands beside its name.
    bare : callable or None
        The request for rows of numbers in one tensor without names, where the peer takes it.
    read : callable
        The predictions in an answer: probabilities of class 1, or where the peer gives no more, classes.
    environment : str
        By the name of its list of requirements.
    variables : mapping of str to str
        Its environment variables.
    command : callable
        Of the model's name, its estimator, the folder to run in and the port: makes what is needed and says how the
        server is started.
    """

    name: str
    request: Callable[[str, Sequence[Row]], bytes]
    read: Callable[[bytes], list[float]]
    command: Callable[[str, Any, Path, int], Sequence[str | Path]]
    environment: str
    bare: Callable[[str, Sequence[Row]], bytes] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def serving(self, model: str, estimator: Any, rows: Sequence[Row], *, folder: Path, core: int) -> Iterator[Server]:
        """The peer with a model, up and answering."""
        folder.mkdir()
        keep(estimator, rows, folder / "fitted")
        for program in Path(__file__).parent.glob("*.py"):
            shutil.copy(program, folder)
        port, asking = free_port(), self.request(model, rows[:1])
        command = self.command(model, estimator, folder, port)
        with started(
            self.name,
            command,
            port=port,
            core=core,
            folder=folder,
            answers=lambda server: one_answer(server, asking),
            **self.variables,
            PATH=f"{Path(command[0]).parent}:/usr/bin:/bin",
        ) as server:
            yield server


def keep(estimator: Any, rows: Sequence[Row], folder: Path) -> None:
    """Keep what peers/fitted.py reads."""
    folder.mkdir()
    joblib.dump(estimator, folder / "model.joblib")
    fields = {name: "category" if isinstance(value, str) else "number" for name, value in rows[0].items()}
    (folder / "fields.json").write_text(json.dumps(fields), encoding="utf-8")


def split(model: str, rows: Sequence[Row]) -> bytes:
    """Rows as MLflow recommends them."""
    table = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
    return post("/invocations", msgspec.json.encode({"dataframe_split": table}))


def _by_column(model: str, rows: Sequence[Row]) -> bytes:
    return _infer({"id": "1", "inputs": by_column(rows)})


def _in_one(model: str, rows: Sequence[Row]) -> bytes:
    return _infer({"id": "1", "inputs": in_one(rows, name="inputs")})


def _by_typed_column(model: str, rows: Sequence[Row]) -> bytes:
    """What MLServer needs to be told beside it: that columns make a DataFrame, and that probabilities are wanted."""
    inputs = by_column(rows)
    for tensor in inputs:
        if tensor["datatype"] == "BYTES":
            tensor["parameters"] = {"content_type": "str"}
    return _infer({"parameters": {"content_type": "pd"}, "inputs": inputs, **_wanted(model)})


def _in_one_for_mlserver(model: str, rows: Sequence[Row]) -> bytes:
    return _infer({"inputs": in_one(rows, name="inputs"), **_wanted(model)})


def _wanted(model: str) -> dict[str, Any]:
    return {"outputs": [{"name": "predict_proba"}]} if model in ("linear", "xgboost") else {}


def _infer(body: dict[str, Any]) -> bytes:
    return post("/v2/models/lender/infer", msgspec.json.encode(body))


def _output(body: bytes) -> list[float]:
    """The last class's column of the only output."""
    [output] = msgspec.json.decode(body)["outputs"]
    values = np.array(output["data"], np.float64).reshape(output["shape"])
    last: list[float] = values.reshape(len(values), -1)[:, -1].tolist()
    return last


def _predictions(body: bytes) -> list[float]:
    found = msgspec.json.decode(body)["predictions"]
    return [float(one[-1] if isinstance(one, list) else one) for one in found]


def _mlflow(model: str, estimator: Any, folder: Path, port: int) -> Sequence[str | Path]:
    python = python_of("mlflow")
    subprocess.run([python, "mlflow_model.py", model, "model"], cwd=folder, check=True, capture_output=True)
    mlflow = python.with_name("mlflow")
    return [mlflow, "models", "serve", "-m", "model", "-p", str(port), "--env-manager", "local", "--workers", "1"]


def _fastapi(model: str, estimator: Any, folder: Path, port: int) -> Sequence[str | Path]:
    python = python_of("fastapi")
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return [python, "-m", "uvicorn", "fastapi_server:app", "--port", str(port), *options]


def _bentoml(model: str, estimator: Any, folder: Path, port: int) -> Sequence[str | Path]:
    return [python_of("bentoml").with_name("bentoml"), "serve", "bentoml_server:Lender", "--port", str(port)]


def _kserve(model: str, estimator: Any, folder: Path, port: int) -> Sequence[str | Path]:
    return [python_of("kserve"), "kserve_server.py", str(port)]


def _mlserver(model: str, estimator: Any, folder: Path, port: int) -> Sequence[str | Path]:
    runtime, name = _RUNTIMES[model]
    kept = folder / name
    if name.endswith("joblib"):
        joblib.dump(estimator, kept)
    else:
        getattr(estimator, "booster_", estimator).save_model(str(kept))
    served = {"name": "lender", "implementation": runtime, "parameters": {"uri": f"./{name}"}}
    settings = {
        "debug": False,
        "parallel_workers": 0,
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_endpoint": None,
    }
    (folder / "model-settings.json").write_text(json.dumps(served), encoding="utf-8")
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return [python_of("mlserver").with_name("mlserver"), "start", "."]


_RUNTIMES = {
    "linear": ("mlserver_sklearn.SKLearnModel", "model.joblib"),
    "catboost_numbers": ("mlserver_catboost.CatboostModel", "model.cbm"),
    "catboost_categories": ("mlserver_catboost.CatboostModel", "model.cbm"),
    "lightgbm": ("mlserver_lightgbm.LightGBMModel", "model.bst"),
    "xgboost": ("mlserver_xgboost.XGBoostModel", "model.json"),
}

PEERS = (
    Peer(
        name="FastAPI + pandas",
        request=lambda model, rows: post("/predict", msgspec.json.encode(rows[0])),
        read=lambda body: [msgspec.json.decode(body)["value"]],
        command=_fastapi,
        environment="fastapi",
    ),
    Peer(
        name="MLflow",
        request=split,
        read=_predictions,
        command=_mlflow,
        environment="mlflow",
        variables={"MLFLOW_DISABLE_TELEMETRY": "true"},
    ),
    Peer(
        name="MLServer",
        request=_by_typed_column,
        bare=_in_one_for_mlserver,
        read=_output,
        command=_mlserver,
        environment="mlserver",
    ),
    Peer(
        name="BentoML",
        request=lambda model, rows: post("/predict", msgspec.json.encode({"rows": rows})),
        read=lambda body: msgspec.json.decode(body, type=list[float]),
        command=_bentoml,
        environment="bentoml",
        variables={"BENTOML_DO_NOT_TRACK": "true"},
    ),
    Peer(name="KServe v2", request=_by_column, bare=_in_one, read=_output, command=_kserve, environment="kserve"),
)
