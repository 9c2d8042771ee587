"""A test that may be looked at as often as one likes: whether a mean loss lies above another.

Evidence is a gambler's wealth. Before each observation a share of it is bet that the observation is positive; if none
is expected to be, the wealth can grow beyond 1/alpha with a probability of alpha at most, ever (Ville's inequality). So
the error holds however often and whenever one looks, and whatever the distribution, as long as no observation is below
a bound known beforehand. Betting on means: Waudby-Smith and Ramdas, Estimating means of bounded random variables by
betting, Journal of the Royal Statistical Society B 86, 2024; the share is their approximate GRAPA.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_BOLDEST = 0.9
_PRIOR = 0.05


def log_evidence(observations: Floats, lowest: Floats | float) -> Floats:
    """Logarithm of the wealth after each observation; above ``log(1/alpha)`` anywhere speaks against a mean below 0.

    Parameters
    ----------
    observations : ndarray, shape (n,)
        In the order in which they became known; under the hypothesis none has a mean above 0, given those before it.
    lowest : ndarray, shape (n,), or float
        How far below 0 each could have been, known before it; above 0.
    """
    scaled = observations / lowest
    before, squares = _before(scaled), _before(scaled * scaled)
    bets = np.clip(before / (_PRIOR + squares), 0.0, _BOLDEST)
    found: Floats = np.cumsum(np.log1p(bets * scaled))
    return found


def paired(candidate: Floats, live: Floats, *, worse: float, most: float) -> Floats:
    """Evidence that the candidate's mean loss is above ``1 + worse`` times the live one's, both on the same cases.

    Parameters
    ----------
    candidate, live : ndarray, shape (n,), in [0, most]
    """
    return log_evidence(candidate - (1 + worse) * live, (1 + worse) * most)


def divided(losses: Floats, is_candidate: npt.NDArray[np.bool_], *, share: float, worse: float, most: float) -> Floats:
    """Evidence of the same where each case is answered by one of them, drawn with a known probability.

    Each loss counts by the inverse of that probability, less the mean of all losses before it, so that nothing but who
    answered tells the two apart, whatever cases come when.

    Parameters
    ----------
    losses : ndarray, shape (n,), in [0, most]
    is_candidate : ndarray, shape (n,)
        Who answered.
    share : float
        With which probability the candidate does, above 0 and below 1.
    """
    known = np.arange(len(losses))
    usual = np.divide(_before(losses), known, out=np.zeros(len(losses)), where=known > 0)
    excess = losses - usual
    observed = np.where(is_candidate, excess / share, -(1 + worse) * excess / (1 - share)) - worse * usual
    lowest = np.maximum(usual / share, (1 + worse) * (most - usual) / (1 - share)) + worse * usual
    return log_evidence(observed, np.maximum(lowest, np.finfo(np.float64).tiny))


def _before(values: Floats) -> Floats:
    """The sum of all values before each."""
    found: Floats = np.concatenate([[0.0], np.cumsum(values)[:-1]]) if len(values) else values
    return found
