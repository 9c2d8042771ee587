"""What a predictor loads. Import contracts tell what modules say; this tells what a process ends up with."""

import json
import subprocess
import sys
from pathlib import Path

from tests.serving.bundles import publish_bundle
from tests.serving.projects import arm, make_project, manifest

HEAVY = {
    "pandas",
    "sqlalchemy",
    "alembic",
    "duckdb",
    "deltalake",
    "pyarrow",
    "sklearn",
    "lightgbm",
    "onnx",
    "dbos",
    "jinja2",
    "httpx",
    "redis",
    "opentelemetry",
}
WORK = """
import json, sys
from pathlib import Path
from octavo.config import load_config
from octavo.serving.process import build
from tests.serving.asgi import Caller

config = load_config(Path(sys.argv[1]), {})
app, watcher, record_log = build(config)
watcher.restore()
watcher.look()
row = {"distance": 5.0, "sched_dep": "2013-07-01T12:30:00Z", "origin": "JFK"}
reply = Caller(app=app, token=sys.argv[2]).post("/predict/eta", {"rows": [row]})
print(reply.status, json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_a_predictor_that_has_answered_has_loaded_nothing_heavy(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.publish(manifest(arm(publish_bundle(project.artifacts))))
    command = [sys.executable, "-c", WORK, str(tmp_path), project.token]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    status, _, loaded = done.stdout.partition(" ")
    assert status == "200"
    assert HEAVY & set(json.loads(loaded)) == set()
