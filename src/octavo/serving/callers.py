"""Callers who may ask about some deployments and models only."""

from collections.abc import Mapping
from typing import Self

from octavo.errors import NotAllowed
from octavo.principals import Principal


class LimitedCaller(str):
    """The name of a caller whose rights are limited: whoever answers asks first whether they reach this far.

    Parameters
    ----------
    principal : Principal
    permission : str
        What they want to use.
    """

    __slots__ = ("_permission", "_principal")

    _principal: Principal
    _permission: str

    def __new__(cls, principal: Principal, permission: str) -> Self:
        """The principal's name, and the rest with it."""
        made = super().__new__(cls, principal.name)
        made._principal, made._permission = principal, permission
        return made

    def check(self, about: Mapping[str, str]) -> None:
        """See that the rights reach what is asked about.

        Raises
        ------
        NotAllowed
        """
        if not self._principal.may(self._permission, about=about):
            things = " and ".join(sorted({f"the {one.about} {one.name}" for one in self._principal.limited}))
            raise NotAllowed(
                f"{self} holds the permission {self._permission!r} about {things} only", permission=self._permission
            )
