"""The settings of what is on record: [audit] and [lineage]."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """[audit]: how the worker compares training and serving, and how far the audit trail is stated elsewhere.

    Attributes
    ----------
    every : str
        How often training and serving are compared: ``24h``; ``never`` for not by itself.
    sample : int
        Predictions of each deployment at each audit, at most.
    lag : str
        How long an event may be accepted and not yet be in the online features without these being wrong.
    late : float
        Share of late values of one feature from which an audit remarks on it.
    checkpoints : str
        Where signed checkpoints of the audit trail are kept, ``file:PATH`` or ``s3://BUCKET/PREFIX``; empty for
        nowhere but in the metadata.
    checkpoint_events : int
        After how many events of the audit trail another checkpoint is made.
    checkpoint_every : str
        After how long one is made at the latest, if there was any event; ``never`` for not by time.
    """

    every: str = "24h"
    sample: int = 1_000
    lag: str = "1h"
    late: float = 0.05
    checkpoints: str = "file:.octavo/checkpoints"
    checkpoint_events: int = 1_000
    checkpoint_every: str = "24h"


@dataclass(frozen=True, kw_only=True)
class LineageSettings:
    """[lineage]: where trainings, datasets and releases are told of as OpenLineage events; by default nowhere.

    Attributes
    ----------
    openlineage : str
        ``http://HOST:PORT`` of a receiver, ``file:PATH`` for a line each, or ``kafka://HOST:PORT/TOPIC``.
    token : str
        Where the token is that an HTTP receiver wants, ``env:NAME`` or ``file:PATH``.
    namespace : str
        Of jobs and datasets; ``octavo://PROJECT`` unless given.
    """

    openlineage: str = ""
    token: str = ""
    namespace: str = ""
