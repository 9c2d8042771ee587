"""Schemathesis asks a real predictor whatever its description allows, and much that it does not."""

import subprocess
import sys
from pathlib import Path

from octavo.release.composites import PlannedNode
from tests.serving.bundles import publish_bundle
from tests.serving.composed import deployment, function, publish_composite
from tests.serving.processes import predictor
from tests.serving.projects import arm, make_project, manifest

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)
SETTINGS = "[checks]\nenabled = false\n" + "".join(f"{check}.enabled = true\n" for check in CHECKS)
# Bodies that are answered later are looked at later.
SETTINGS += """
[[operations]]
include-path-regex = "^/predictions/"
checks.negative_data_rejection.enabled = false
"""


def test_a_predictor_does_what_its_description_says(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    small = [1e-3] * 5  # so that no sum of fields is too large for a float32
    project.publish(manifest(arm(publish_bundle(project.artifacts, weights=small))))
    sometimes = deployment("eta", when=function("is_wide", "seats"))
    publish_composite(project, sometimes, PlannedNode(name="total", function=function("total", "eta", "amount")))
    (tmp_path / "schemathesis.toml").write_text(SETTINGS, encoding="utf-8")
    with predictor(project) as running:
        done = subprocess.run(
            [
                Path(sys.executable).parent / "schemathesis",
                "run",
                f"http://127.0.0.1:{running.port}/openapi.json",
                "--header",
                f"Authorization: Bearer {project.token}",
                *("--phases", "coverage,fuzzing"),
                *("--max-examples", "15"),
                "--generation-deterministic",
                *("--suppress-health-check", "all"),
                "--no-color",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr
        assert " 0 selected" not in done.stdout
        assert b"/predict/deal" in running.get("/openapi.json")[1]
        assert running.get("/livez")[0] == 200
