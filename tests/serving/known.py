"""Who may call a predictor, as control would publish it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tests.serving.bundles import PROJECT
from tests.serving.projects import ServingProject

from octavo.access.document import DOCUMENT, PURPOSE, AccessDocument, Held, KnownAccount, KnownKey
from octavo.access.keys import NewKey
from octavo.principals import SERVICE
from octavo.release.documents import signed

YEAR_3000_US = int(datetime(3000, 1, 1, tzinfo=UTC).timestamp() * 1e6)


def document(*keys: NewKey, sequence: int = 1, roles: Sequence[Held] = (Held(role="caller"),)) -> AccessDocument:
    """One service with some keys."""
    return AccessDocument(
        project=PROJECT,
        sequence=sequence,
        accounts=(KnownAccount(name="ci", kind=SERVICE, roles=tuple(roles)),),
        keys=tuple(
            KnownKey(id=key.id, account="ci", secret_sha256=key.secret_sha256, scopes=(), expires_at_us=YEAR_3000_US)
            for key in keys
        ),
    )


def bytes_of(project: ServingProject, known: AccessDocument, *, purpose: str = PURPOSE) -> bytes:
    return signed(known, project.signer, purpose=purpose)


def publish(project: ServingProject, known: AccessDocument) -> None:
    project.artifacts.publish(DOCUMENT, bytes_of(project, known))
