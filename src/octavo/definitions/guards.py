"""What takes a version back by itself while it is being rolled out."""

from dataclasses import dataclass

from octavo.errors import InvalidDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """From which size on a difference between the candidate and the live version is a complaint.

    Attributes
    ----------
    min_rows : int
        Arms with fewer predictions than this are not judged.
    errors, min_errors : float, int
        Share of the candidate's predictions that failed, and how many it takes at least.
    latency_ratio, latency_slack_us : float
        The candidate's median may be this many times the live one's, and this much more; twice that in a shadow, which
        runs when the live version has answered. Not a high percentile: of a few hundred predictions that tells more of
        the machine than of the model.
    score_shift : float
        Distance of the two means, in standard deviations of the live scores.
    score_spread : float
        Ratio of the two standard deviations, either way.
    worse : float or None
        By how much of the live version's mean loss the candidate's may be above it, as the outcomes that are known by
        now tell; 0.05 is a twentieth. Outcomes are not looked at if None.
    alpha : float
        The probability, over a whole release and however often it is looked at, that a version is taken back for its
        outcomes though its loss is not above that.
    """

    min_rows: int = 30
    errors: float = 0.01
    min_errors: int = 3
    latency_ratio: float = 2.0
    latency_slack_us: float = 20_000.0
    score_shift: float = 1.0
    score_spread: float = 5.0
    worse: float | None = 0.05
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if self.worse is not None and not 0 <= self.worse <= 10:
            raise InvalidDefinition(f"guards: worse={self.worse} is no share from 0 to 10 of the live version's loss")
        if not 0 < self.alpha <= 0.5:
            raise InvalidDefinition(f"guards: alpha={self.alpha} is no probability above 0, up to 0.5")
        if self.min_rows < 1 or min(self.errors, self.min_errors, self.latency_slack_us) < 0:
            raise InvalidDefinition("guards: min_rows is at least 1, and errors, min_errors and slack are not below 0")
        if min(self.latency_ratio, self.score_shift, self.score_spread) <= 0:
            raise InvalidDefinition("guards: latency_ratio, score_shift and score_spread are above 0")
