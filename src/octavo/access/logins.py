"""Login codes: each opens the console once, so that a link can be printed without printing a token."""

import secrets
import time
from pathlib import Path

from octavo.access.files import write_private
from octavo.access.tokens import local_token, project_access, sha256_of
from octavo.errors import NotAuthenticated

LOGINS_FOLDER = "logins"
LOGIN_LIFETIME_S = 86_400


def issue_login(home: Path) -> str:
    """Make a code that logs the local administrator in to the console once, within a day: ``/login?token=CODE``.

    Raises
    ------
    NotAuthenticated
        If this machine has no local token, or it was revoked.
    """
    holder = project_access(home).verify(local_token(home))
    code = secrets.token_hex(24)
    write_private(home / LOGINS_FOLDER / sha256_of(code), holder.name.rpartition("/")[2].encode("ascii"))
    return code


def redeem_login(home: Path, code: str) -> str:
    """The id of the token for which a login code was made; the code is worthless from then on.

    Raises
    ------
    NotAuthenticated
        If it was never made, was used already, or is older than a day.
    """
    refused = NotAuthenticated("that login link was used already or is too old; make another with: octavo login")
    path = home / LOGINS_FOLDER / sha256_of(code)
    claimed = path.with_name(f".{secrets.token_hex(8)}")
    try:
        # Of two requests with the same code only one can move the file.
        path.rename(claimed)
    except FileNotFoundError:
        raise refused from None
    token_id, made = claimed.read_text(encoding="ascii"), claimed.stat().st_mtime
    claimed.unlink()
    if time.time() - made > LOGIN_LIFETIME_S:
        raise refused
    return token_id
