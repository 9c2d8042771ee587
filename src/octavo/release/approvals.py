"""Whose word a release needs, and whether it has it.

The policy is what the deployment's rollout and the project's settings say for the tier of the model; both hold. A word
is a person's, whatever token they came with; it is for one release, and so for one version and its bundle.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from octavo.config import Config
from octavo.definitions import approvals as declared
from octavo.definitions.deployments import Deployment
from octavo.errors import ConfigurationError, InvalidDefinition, NotAllowed
from octavo.operations import Context
from octavo.principals import PERSON, SYSTEM_KIND, Principal
from octavo.release.releases import Approval, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPolicy:
    """Whose word releases of a tier need.

    Attributes
    ----------
    digest : str
        Of all the rest: what a release names.
    tier : str
    needs : tuple of Approval
        All of which must be met; none if the gates suffice.
    """

    kind: ClassVar[str] = "approval_policy"

    digest: str
    tier: str
    needs: tuple[declared.Approval, ...]

    @property
    def key(self) -> str:
        return self.digest

    @property
    def words(self) -> str:
        """As people say it; empty if nobody's word is needed."""
        return ", and ".join(need.words for need in self.needs)

    @property
    def expires(self) -> timedelta | None:
        """How long a word counts, and a release waits: the shortest that is said; for ever if None."""
        spans = [need.expires_s for need in self.needs if need.expires_s is not None]
        return timedelta(seconds=min(spans)) if spans else None


def policy_of(config: Config, deployment: Deployment) -> ApprovalPolicy:
    """The policy that is in force for a deployment.

    Raises
    ------
    ConfigurationError
        If the settings cannot be read.
    """
    tier = str(deployment.model.tier or "high")
    rules = (deployment.rollout.rule(tier), _of_project(config, tier))
    needs = tuple(dict.fromkeys(need for rule in rules if (need := declared.people_of(rule)) is not None))
    document = msgspec.json.encode((tier, needs), order="deterministic")
    return ApprovalPolicy(digest=f"sha256:{hashlib.sha256(document).hexdigest()}", tier=tier, needs=needs)


def lacking(policy: ApprovalPolicy, release: Release, *, digest: str, now: datetime) -> str:
    """What a release still lacks, in words; empty if it has all that it needs.

    Parameters
    ----------
    digest : str
        Of the version's bundle, as the registry has it.
    """
    valid = counted(release, digest=digest, now=now)
    short = [
        replaced
        for need in policy.needs
        if (left := need.people - len({_bare(word.by) for word in valid if _is_of(word, need)})) > 0
        for replaced in [_with(need, left)]
    ]
    return ", and ".join(f"{need.words}{' more' if valid else ''}" for need in short)


def counted(release: Release, *, digest: str, now: datetime) -> tuple[Approval, ...]:
    """The approvals of a release that count now: of this bundle, not run out, not the author's."""
    return tuple(
        word
        for word in release.approvals
        if word.digest == digest
        and (word.until is None or word.until > now)
        and _bare(word.by) != _bare(release.author)
    )


def word_of(
    context: Context,
    policy: ApprovalPolicy,
    release: Release,
    *,
    authors: Collection[str],
    digest: str,
    note: str,
) -> Approval:
    """The caller's approval of a release.

    Parameters
    ----------
    authors : collection of str
        Who asked for the release, or had the version made.

    Raises
    ------
    NotAllowed
        If they are no person, asked for the release or its training themselves, or are none of those that are asked.
    """
    principal, now = context.principal, context.clock.now()
    if principal.kind != PERSON:
        raise NotAllowed(f"{principal.name} is no person, and only people approve releases; ask one to do so")
    person, groups = principal.subject, groups_of(context.config, principal)
    if {_bare(person), _bare(principal.name)} & {_bare(author) for author in authors}:
        raise NotAllowed(
            f"{person} asked for version {release.version} in {release.deployment!r} or had it made, so another person "
            "must approve it"
        )
    word = Approval(by=person, at=now, until=None, note=note, digest=digest, groups=groups)
    asked = [need for need in policy.needs if _is_of(word, need)]
    if policy.needs and not asked:
        raise NotAllowed(
            f"{person} belongs to none of those whose approval the release of version {release.version} in "
            f"{release.deployment!r} needs: {policy.words}"
        )
    spans = [need.expires_s for need in asked if need.expires_s is not None]
    return replace(word, until=now + timedelta(seconds=min(spans))) if spans else word


def is_given(approvals: Collection[Approval], word: Approval) -> bool:
    """Whether a person has approved already, be it as the local user of a machine or as themselves."""
    return _bare(word.by) in {_bare(one.by) for one in approvals}


def author_of(principal: Principal) -> str:
    """Who is the author of what a caller asks for; nobody if it is the platform itself."""
    return "" if principal.kind == SYSTEM_KIND else principal.subject


def groups_of(config: Config, principal: Principal) -> tuple[str, ...]:
    """The groups that a caller belongs to, as ``[approval] groups`` says.

    Raises
    ------
    ConfigurationError
        If that cannot be read.
    """
    found = set()
    for entry in config.approval.groups:
        group, _, member = entry.partition(":")
        if not group or not member:
            raise ConfigurationError(f"[approval] groups: {entry!r} is not GROUP:PERSON, such as risk:ada")
        if member in (principal.subject, _bare(principal.subject)):
            found.add(group)
    return tuple(sorted(found))


def _bare(subject: str) -> str:
    """A person's name without the word for what it is: ``ada`` of ``user:ada``."""
    return subject.rpartition(":")[2]


def _is_of(word: Approval, need: declared.Approval) -> bool:
    return not need.of or bool({word.by, _bare(word.by), *word.groups} & set(need.of))


def _with(need: declared.Approval, people: int) -> declared.Approval:
    return declared.Approval(people, of=need.of)


def _of_project(config: Config, tier: str) -> declared.ApprovalRule:
    text = {"low": config.approval.low, "medium": config.approval.medium}.get(tier, config.approval.high)
    try:
        return declared.read_rule(text)
    except InvalidDefinition as error:
        raise ConfigurationError(f"[approval] {tier}: {error.message}") from error


def words(approvals: Sequence[Approval]) -> str:
    """Who approved, in words."""
    return ", ".join(f"{one.by}{f' ({one.note})' if one.note else ''}" for one in approvals)
