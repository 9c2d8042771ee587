"""Whose word a release needs before it may reach traffic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from octavo.definitions.types import seconds
from octavo.errors import InvalidDefinition

TIERS = ("low", "medium", "high")
MOST_PEOPLE = 10


@dataclass(frozen=True, slots=True, init=False)
class Approval:
    """People, other than whoever asked for the release, who must approve it.

    Parameters
    ----------
    people : int
        How many different ones.
    of : sequence of str
        Who counts: groups and people by name, one of which each must be or belong to; whoever may approve if empty.
    expires : str or None
        How long an approval counts, and how long a release waits for all that it needs; for ever if None.
    """

    people: int
    of: tuple[str, ...]
    expires_s: int | None

    def __init__(self, people: int = 1, *, of: Sequence[str] = (), expires: str | None = None) -> None:
        put = object.__setattr__
        put(self, "people", people)
        put(self, "of", (of,) if isinstance(of, str) else tuple(of))
        put(self, "expires_s", seconds(expires, what="life of an approval") if expires else None)
        if isinstance(people, bool) or not isinstance(people, int) or not 1 <= people <= MOST_PEOPLE:
            raise InvalidDefinition(f"approval by {people!r} people: give a number from 1 to {MOST_PEOPLE}")
        if not all(isinstance(name, str) and name.strip() for name in self.of):
            raise InvalidDefinition(f"approval of {list(self.of)}: give names of groups or people")

    @property
    def words(self) -> str:
        """As people say it: ``2 people of risk, ml-lead, within 7 days``."""
        words = f"{self.people} {'person' if self.people == 1 else 'people'}"
        if self.of:
            words += f" of {', '.join(self.of)}"
        return words + (f", within {_span(self.expires_s)}" if self.expires_s else "")


ApprovalRule = Literal["policy", "manual"] | Approval
"""Nobody, because the gates are the policy; one person; or what is said."""


def rule_by_tier(approval: object) -> tuple[tuple[str, ApprovalRule], ...]:
    """What a rollout declares, as the rule for each tier.

    Parameters
    ----------
    approval : str, Approval, or mapping of tier to either
        Tiers that a mapping leaves out are approved by one person.

    Raises
    ------
    InvalidDefinition
    """
    if not isinstance(approval, Mapping):
        return tuple((tier, _rule(approval)) for tier in TIERS)
    if unknown := sorted(set(map(str, approval)) - set(TIERS)):
        raise InvalidDefinition(f"rollout approval by tier names {unknown[0]!r}; there are: {', '.join(TIERS)}")
    return tuple((tier, _rule(approval.get(tier, "manual"))) for tier in TIERS)


def people_of(rule: ApprovalRule) -> Approval | None:
    """Whose word a rule asks for; None if nobody's."""
    if isinstance(rule, Approval):
        return rule
    return Approval() if rule == "manual" else None


def read_rule(text: str) -> ApprovalRule:
    """A rule as a setting has it: ``policy``, ``manual``, ``2``, or ``2 of risk, ml-lead within 7d``.

    Raises
    ------
    InvalidDefinition
    """
    text = text.strip()
    if text in ("policy", "manual"):
        return _rule(text)
    head, within, expires = text.partition(" within ")
    people, of, names = head.partition(" of ")
    if not people.isascii() or not people.isdecimal() or (of and not names.strip()) or (within and not expires):
        raise InvalidDefinition(
            f"approval {text!r} cannot be read; write policy, manual, 2, or: 2 of risk, ml-lead within 7d"
        )
    who = [name.strip() for name in names.split(",")] if of else []
    return Approval(int(people), of=who, expires=expires.strip() or None)


def _rule(rule: object) -> ApprovalRule:
    if isinstance(rule, Approval):
        return rule
    if rule == "policy":
        return "policy"
    if rule == "manual":
        return "manual"
    raise InvalidDefinition(f"rollout approval {rule!r} is neither 'policy', 'manual' nor oc.Approval(...)")


def _span(span_s: int) -> str:
    for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if span_s % length == 0:
            return f"{span_s // length} {name}{'s' if span_s != length else ''}"
    raise AssertionError("every number of seconds is one of seconds")
