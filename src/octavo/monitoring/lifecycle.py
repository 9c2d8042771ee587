"""What findings do to incidents: they open them, keep them up to date and resolve them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from octavo.clock import Clock
from octavo.identifiers import new_id
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import Incident, TimelineEntry, open_incidents, resolve
from octavo.stores.ports import Notice, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Which version of which deployment findings are about, and of when they are."""

    deployment: str
    model: str
    version: int
    at: datetime


def follow(tx: Transaction, findings: Sequence[Finding], subject: Subject, *, clock: Clock) -> list[Notice]:
    """Bring the incidents of a deployment into line with the newest findings.

    One that is unknown changes nothing.

    Returns
    -------
    list of Notice
        To be sent once the transaction is committed.
    """
    return list(_followed(tx, findings, subject, clock=clock))


def _followed(tx: Transaction, findings: Sequence[Finding], subject: Subject, *, clock: Clock) -> Iterator[Notice]:
    current = {incident.incident_kind: incident for incident in open_incidents(tx, subject.deployment)}
    for finding in findings:
        incident = current.get(finding.kind)
        if finding.verdict is Verdict.UNHEALTHY and incident is None:
            yield _notice(_open(tx, finding, subject, clock=clock), subject, happened="opened", text=finding.cause)
        elif finding.verdict is Verdict.UNHEALTHY and incident is not None:
            _update(tx, incident, finding)
        elif finding.verdict is Verdict.HEALTHY and incident is not None:
            text = f"healthy again with version {subject.version}: {finding.summary}"
            yield _notice(resolve(tx, incident.id, at=subject.at, text=text), subject, happened="resolved", text=text)


def _open(tx: Transaction, finding: Finding, subject: Subject, *, clock: Clock) -> Incident:
    assert finding.value is not None
    incident = Incident(
        id=new_id(clock),
        deployment=subject.deployment,
        model=subject.model,
        version=subject.version,
        incident_kind=finding.kind,
        subject=finding.subject,
        value=finding.value,
        threshold=finding.threshold,
        opened_at=subject.at,
        cause=finding.cause,
        timeline=(TimelineEntry(at=subject.at, text=f"opened: {finding.summary}"),),
    )
    tx.add(incident)
    return incident


def _update(tx: Transaction, incident: Incident, finding: Finding) -> None:
    assert finding.value is not None
    after = replace(incident, value=finding.value, threshold=finding.threshold)
    if after != incident:
        tx.replace(incident, after)


def _notice(incident: Incident, subject: Subject, *, happened: str, text: str) -> Notice:
    title = f"{incident.incident_kind} incident of {incident.deployment} {happened}"
    return Notice(subject=title, text=f"{subject.model} {subject.version}: {text}", at=subject.at)
