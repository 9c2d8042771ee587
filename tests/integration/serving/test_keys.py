"""Keys at a predictor's process: without a database, and revoked."""

import shutil
import time
from contextlib import closing
from pathlib import Path

import msgspec

from octavo.access.document import DOCUMENT
from octavo.access.keys import make_key
from octavo.serving.access_watch import USES_FOLDER
from tests.serving import known
from tests.serving.bundles import ROW
from tests.serving.processes import Connection, Running, predictor, until
from tests.serving.projects import make_project


def test_a_key_works_without_a_database_and_ends_within_a_second(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    kept, revoked = make_key(), make_key()
    published = project.config.path(project.config.stores.artifacts) / "published" / DOCUMENT
    known.publish(project, known.document(kept, revoked))
    first = published.read_bytes()
    with predictor(project) as running:
        until(lambda: status(running, revoked.text) == 404, what="the key is not taken")
        assert not (project.config.home / "metadata.db").exists()
        began = time.monotonic()
        known.publish(project, known.document(kept, sequence=2))
        until(lambda: status(running, revoked.text) == 401, what="the revoked key is taken for ever")
        assert time.monotonic() - began < 1.0
        assert status(running, kept.text) == 404
        uses = project.config.home / USES_FOLDER / "predictor.json"
        until(uses.exists, what="no use of a key is noted")
        assert msgspec.json.decode(uses.read_bytes(), type=dict[str, int]).keys() <= {kept.id, revoked.id}
    shutil.rmtree(project.config.path(project.config.stores.artifacts))
    with predictor(project) as running:  # by what is on its own disk
        assert status(running, kept.text) == 404
        assert status(running, revoked.text) == 401
        published.parent.mkdir(parents=True, exist_ok=True)
        published.write_bytes(first)  # an old document, put back
        time_to_look = time.monotonic() + 0.6
        until(lambda: time.monotonic() > time_to_look, what="time stands still")
        assert status(running, revoked.text) == 401


def status(running: Running, key: str) -> int:
    """What a predictor that serves nothing answers: that there is no such deployment, to whoever may ask."""
    with closing(Connection(running)) as connection:
        return connection.send(msgspec.json.encode({"rows": [ROW]}), authorization=f"Bearer {key}")[0]
