"""Roles that people hold because a provider says in which groups they are: only by the mapping in the settings."""

import re
from collections.abc import Iterator, Sequence

from octavo.access.document import Held
from octavo.access.roles import ROLES
from octavo.errors import ConfigurationError

_LINE = re.compile(r"(?P<group>.+?)\s*=\s*(?P<role>[a-z]+)(?:@(?P<about>model|deployment):(?P<name>[^\s@:]+))?\Z")


def roles_of_groups(groups: Sequence[str], mapped: Sequence[str]) -> Iterator[Held]:
    """The roles of somebody in some groups; a group that nothing is said of gives none.

    Parameters
    ----------
    mapped : sequence of str
        ``group=role``, ``group=role@model:NAME`` or ``group=role@deployment:NAME``.

    Raises
    ------
    ConfigurationError
        If one reads otherwise, or names no role.
    """
    for line in mapped:
        group, held = read_mapping(line)
        if group in groups:
            yield held


def read_mapping(line: str) -> tuple[str, Held]:
    """The group and the role of a line; see `roles_of_groups`."""
    match = _LINE.match(line)
    if match is None or match["role"] not in ROLES:
        raise ConfigurationError(
            f"[oidc] roles: {line!r} is no mapping; write 'group=role' or 'group=role@model:NAME', with one of "
            f"{', '.join(ROLES)}"
        )
    return match["group"], Held(role=match["role"], about=match["about"] or "", name=match["name"] or "")
