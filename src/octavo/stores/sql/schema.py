"""The metadata store's tables, and how a database comes to have them."""

import logging
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from octavo.errors import ConfigurationError

log = logging.getLogger(__name__)

NEWEST = "0003"
"""The schema that this release works with: the last step in `migrations/versions`."""

tables = sa.MetaData()
_rising = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

records = sa.Table(
    "records",
    tables,
    sa.Column("seq", _rising, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    sa.UniqueConstraint("kind", "key", name="records_kind_key"),
    sa.Index("records_kind_seq", "kind", "seq"),
)

audit = sa.Table(
    "audit",
    tables,
    sa.Column("seq", _rising, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False, server_default=""),
    sa.Column("request", sa.Text, nullable=False, server_default=""),
    sa.Column("trace", sa.Text, nullable=False, server_default=""),
    sa.Column("previous", sa.Text, nullable=False, server_default=""),
    sa.Column("digest", sa.Text, nullable=False, server_default=""),
)

audit_head = sa.Table(
    "audit_head",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
)

metric_points = sa.Table(
    "metric_points",
    tables,
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("number", sa.Boolean, nullable=False),
    sa.PrimaryKeyConstraint("run", "name", "step", "at", "number", "value"),
    sqlite_with_rowid=False,
)

_applied = sa.table("alembic_version", sa.column("version_num"))


def bring_up_to_date(connection: sa.Connection, *, where: str, before: Callable[[str], str]) -> None:
    """Make or migrate the tables, in the connection's transaction, which must keep other processes out.

    Parameters
    ----------
    where : str
        The database, as people are told.
    before : callable
        Given the schema that there is, before it is migrated; copies what there is, and tells where the copy is.

    Raises
    ------
    ConfigurationError
        If the database was made by a newer release.
    """
    found = _version(connection)
    if found == NEWEST:
        return
    from alembic import command  # a third of a second, needed once in the life of a database
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise ConfigurationError(
            f"the metadata at {where} were made by a newer release of Octavo (schema {found}, "
            f"this one knows up to {NEWEST}); upgrade octavo, or point stores.metadata elsewhere",
            schema=found,
        )
    if found is not None:
        log.warning(
            "migrating the metadata at %s from schema %s to %s; a copy of what was: %s",
            where,
            found,
            NEWEST,
            before(found),
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(_applied.name):
        return None
    return connection.execute(sa.select(_applied.c.version_num)).scalar_one_or_none()
