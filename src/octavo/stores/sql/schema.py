"""The metadata store's tables, and how a database comes to have them."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from octavo.errors import ConfigurationError

NEWEST = "0001"
"""The schema that this release works with: the last step in `migrations/versions`."""

tables = sa.MetaData()
_rising = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

records = sa.Table(
    "records",
    tables,
    sa.Column("seq", _rising, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("body", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
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
)

_applied = sa.table("alembic_version", sa.column("version_num"))


def bring_up_to_date(connection: sa.Connection) -> None:
    """Make or migrate the tables, in the connection's transaction, which must keep other processes out.

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
            f"the metadata at {connection.engine.url} was made by a newer release of Octavo (schema {found}, "
            f"this one knows up to {NEWEST}); upgrade octavo, or point stores.metadata elsewhere",
            schema=found,
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(_applied.name):
        return None
    return connection.execute(sa.select(_applied.c.version_num)).scalar_one_or_none()
