"""A power law for the times of :mod:`law`, with intervals, and what speaks against it.

    log steps = log c + a log length + b log vocab + d [kind of repetition] + sigma e,  e ~ N(0, 1)

A time that is censored at step s contributes the probability that it is later than s (Tobin 1958).
Without censored times this is least squares. The likelihood is maximized in the parameters
(coefficients / sigma, 1 / sigma), in which it is concave (Olsen 1978), by Newton's method.

Intervals: the bootstrap over seeds. A seed has the same initial weights in all settings of a
vocabulary, so it is drawn for all of them at once. Of n seeds n - 1 are drawn, since drawing n
would give intervals that are too narrow by the factor sqrt((n - 1) / n) (Rao and Wu 1988): much if
seeds are few. For the same reason the intervals are stretched by the ratio of the quantiles of t
and of the normal distribution. They cover which seeds were trained, given that the law holds; they
do not cover the choice of settings.

The law is compared with an exponential in length, which has ``length`` in place of ``log length``
and as many parameters, by Akaike's criterion, and with a power law that may bend: one more term
``(log length)^2``, which is 0 if the law holds. Zucchet, d'Angelo, Lampinen and Chan (2025,
arXiv:2505.17863) find a power law for the emergence of sparse attention.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from attention_dynamics.analysis.bootstrap import TAILS
from attention_dynamics.copying.law import REPETITION, TIMES, Timing

Interval = tuple[float, float]
MAX_UPDATES, MAX_HALVINGS = 100, 40  # of Newton's method
CONVERGED = 1e-8  # of the likelihood that one more update could gain
MIN_THETA = 1e-6


@dataclass(frozen=True)
class Coefficient:
    """An exponent, or the log of the factor of a kind of repetition, with its interval of 95%."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Law:
    """What was fitted to one of the times.

    Attributes
    ----------
    time : a name in ``TIMES``
    repetition : a name in ``REPETITION``, or "all" of them together
    seeds, censored : numbers of models
    intercept : log c
    coefficients : of the terms that vary: length, vocab, and each kind of repetition but the first
    r2 : NaN if a time is censored, as no variance of the times is known then
    sigma : residual standard deviation of log steps
    spread : that of the seeds around the mean of their setting; much less than ``sigma`` if the law
        misses the settings. NaN with one seed each
    delta_aic : AIC of the exponential in length, less that of the power law: positive if the power
        law is better. NaN with fewer than three lengths
    preferred : share of the resamples in which the power law is better
    curvature : coefficient of (log length)^2 in a power law that may bend; None as above
    """

    time: str
    repetition: str
    seeds: int
    censored: int
    intercept: float
    coefficients: dict[str, Coefficient]
    r2: float
    sigma: float
    spread: float
    delta_aic: float
    preferred: float
    curvature: Coefficient | None


def predict(
    intercept: float, terms: Mapping[str, float], length: np.ndarray, vocab: int, repetition: str
) -> np.ndarray:
    """Steps (lengths,) by a law: the median, as the errors of log steps are symmetric.

    Parameters
    ----------
    terms : values of its coefficients
    """
    factors = {"length": np.log(length), "vocab": np.log(vocab), repetition: 1.0}
    logs = intercept + sum(value * factors.get(name, 0.0) for name, value in terms.items())
    return np.exp(logs)


@dataclass(frozen=True)
class Fit:
    """Maximum-likelihood fits of the same rows under R sets of weights.

    Attributes
    ----------
    coefficients : (R, terms)
    sigma, likelihood : (R,); the likelihood is the log's
    """

    coefficients: np.ndarray
    sigma: np.ndarray
    likelihood: np.ndarray


def fit_censored(
    design: np.ndarray, values: np.ndarray, observed: np.ndarray, weights: np.ndarray
) -> Fit:
    """Linear regression with normal errors; where not ``observed``, the value is a lower bound.

    Parameters
    ----------
    design : (rows, terms), of full rank
    values : (rows,)
    observed : bool (rows,)
    weights : (R, rows), how often each row counts
    """
    augmented = np.column_stack([design, -values])  # u = (mean - value) / sigma
    n_terms, n_observed = design.shape[1], weights @ observed  # (R,)

    def parts(point: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The likelihood (R,), and each row's first and negative second derivatives by u."""
        theta = point[:, -1]
        u = point @ augmented.T  # (R, rows)
        log_tail = special.log_ndtr(u)  # of being later than the bound
        mills = np.exp(-0.5 * u**2 - 0.5 * np.log(2 * np.pi) - log_tail)
        each = np.where(observed, -0.5 * u**2 - 0.5 * np.log(2 * np.pi), log_tail)
        likelihood = (weights * each).sum(axis=1) + n_observed * np.log(theta)
        return (
            likelihood,
            weights * np.where(observed, -u, mills),
            weights * np.where(observed, 1.0, mills * (mills + u)),
        )

    point = _least_squares(design, values, weights)
    likelihood, first, second = parts(point)
    for _ in range(MAX_UPDATES):
        gradient = first @ augmented  # (R, terms + 1)
        gradient[:, -1] += n_observed / point[:, -1]
        curvature = np.einsum("rn,ni,nj->rij", second, augmented, augmented, optimize=True)
        curvature[:, -1, -1] += n_observed / point[:, -1] ** 2
        # Near-singular where a term's rows are all censored in a resample: its fit runs away.
        scale = np.trace(curvature, axis1=1, axis2=2)[:, None, None]
        direction = np.linalg.solve(
            curvature + 1e-12 * scale * np.eye(n_terms + 1), gradient[:, :, None]
        )[:, :, 0]
        gain = (gradient * direction).sum(axis=1)
        if (gain < CONVERGED).all():
            break
        size = np.ones(len(point))
        for _ in range(MAX_HALVINGS):
            moved = point + size[:, None] * direction
            valid = moved[:, -1] > MIN_THETA
            tried = parts(np.where(valid[:, None], moved, point))
            worse = ~valid | (tried[0] < likelihood - 1e-12 * np.abs(likelihood))
            if not worse.any():
                break
            size[worse] /= 2
        point = np.where(worse[:, None], point, moved)
        likelihood, first, second = parts(point)
    theta = point[:, -1]
    return Fit(point[:, :-1] / theta[:, None], 1 / theta, likelihood)


def _least_squares(design: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Where Newton's method starts: (R, terms + 1), as if every value was observed."""
    root = np.sqrt(weights)[:, :, None]
    products = np.einsum("rn,ni,nj->rij", weights, design, design, optimize=True)
    moments = (weights * values) @ design
    scale = np.trace(products, axis1=1, axis2=2)[:, None, None]
    found = np.linalg.solve(
        products + 1e-12 * scale * np.eye(design.shape[1]), moments[:, :, None]
    )  # (R, terms, 1)
    residuals = (root * (values[:, None] - design @ found))[:, :, 0]
    sigma = np.sqrt((residuals**2).sum(axis=1) / weights.sum(axis=1))
    theta = 1 / np.maximum(sigma, 1e-6)
    return np.column_stack([found[:, :, 0] * theta[:, None], theta])


def resampled(
    vocabs: Sequence[int], seeds: Sequence[int], resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Weights (resamples, rows) of a bootstrap over the seeds of each vocabulary.

    Parameters
    ----------
    vocabs, seeds : of each row
    """
    weights = np.ones((resamples, len(seeds)))
    for vocab in dict.fromkeys(vocabs):
        here = np.asarray(vocabs) == vocab
        names, which = np.unique(np.asarray(seeds)[here], return_inverse=True)
        if (n := len(names)) > 1:
            drawn = rng.multinomial(n - 1, np.full(n, 1 / n), size=resamples)
            weights[:, here] = drawn[:, which] * (n / (n - 1))
    return weights


def laws_of(timings: list[Timing], resamples: int, seed: int) -> tuple[list[Law], list[str]]:
    """The laws of each time, of all kinds of repetition and, if there are several, of each.

    Returns
    -------
    laws, and a line for each that could not be fitted, or whose fit leaves something out
    """
    kinds = [kind for kind in REPETITION if any(t.cell.repetition == kind for t in timings)]
    laws, notes = [], []
    for time in TIMES:
        for kind in ["all", *kinds] if len(kinds) > 1 else kinds:
            chosen = [t for t in timings if kind in ("all", t.cell.repetition)]
            without = [
                one
                for one in kinds
                if kind == "all"
                and all(getattr(t, time) is None for t in chosen if t.cell.repetition == one)
            ]
            for one in without:
                notes.append(f"{time}, all: without {one}, where no seed gets there")
            chosen = [t for t in chosen if t.cell.repetition not in without]
            law = law_of(chosen, time, kind, resamples, seed)
            if law is None:
                notes.append(f"{time}, {kind}: too few lengths, or too few seeds get there, to fit")
            else:
                laws.append(law)
    return laws, notes


def law_of(
    timings: list[Timing], time: str, repetition: str, resamples: int, seed: int
) -> Law | None:
    """The :class:`Law` of a time; None if there are too few lengths or uncensored times."""
    steps = [getattr(timing, time) for timing in timings]
    observed = np.array([step is not None for step in steps], dtype=bool)
    cells = [timing.cell for timing in timings]
    reached = {cell.length for cell, seen in zip(cells, observed) if seen}
    values = np.log([t.last if step is None else step for t, step in zip(timings, steps)])
    lengths = np.array([cell.length for cell in cells], dtype=float)
    terms = {"length": np.log(lengths)}
    if len({cell.vocab for cell in cells}) > 1:
        terms["vocab"] = np.log([cell.vocab for cell in cells])
    kinds = [kind for kind in REPETITION if any(cell.repetition == kind for cell in cells)]
    for kind in kinds[1:]:  # the first is the one that others are compared with
        terms[kind] = np.array([cell.repetition == kind for cell in cells], dtype=float)
    design = np.column_stack([np.ones(len(cells)), *terms.values()])
    if (
        len(reached) < 2
        or observed.sum() <= design.shape[1] + 1
        or np.linalg.matrix_rank(design[observed]) < design.shape[1]
    ):
        return None

    weights = np.ones((1, len(cells)))
    # the same resamples for all laws of the same seeds
    vocabs, seeds = [cell.vocab for cell in cells], [timing.seed for timing in timings]
    drawn = resampled(vocabs, seeds, resamples, np.random.default_rng(seed))
    freedom = len({*zip(vocabs, seeds)}) - len({*vocabs})
    stretch = special.stdtrit(freedom, TAILS[1]) / special.ndtri(TAILS[1]) if freedom else 1.0
    best = fit_censored(design, values, observed, weights)
    again = fit_censored(design, values, observed, drawn)
    delta_aic = preferred = np.nan
    curvature = None
    if len(reached) > 2:
        other = design.copy()
        other[:, 1] = lengths
        delta_aic = 2 * float(
            best.likelihood[0] - fit_censored(other, values, observed, weights).likelihood[0]
        )
        preferred = float(
            np.mean(again.likelihood > fit_censored(other, values, observed, drawn).likelihood)
        )
        bent = np.column_stack([design, (design[:, 1] - design[:, 1].mean()) ** 2])
        curvature = _coefficient(
            fit_censored(bent, values, observed, weights).coefficients[0, -1],
            fit_censored(bent, values, observed, drawn).coefficients[:, -1],
            stretch,
        )
    names = ["intercept", *terms]
    found = {
        name: _coefficient(best.coefficients[0, i], again.coefficients[:, i], stretch)
        for i, name in enumerate(names)
    }
    seen = values[observed]
    residuals = seen - design[observed] @ best.coefficients[0]
    total = ((seen - seen.mean()) ** 2).sum()
    return Law(
        time=time,
        repetition=repetition,
        seeds=len(cells),
        censored=int((~observed).sum()),
        intercept=found.pop("intercept").value,
        coefficients=found,
        r2=float(1 - (residuals**2).sum() / total) if np.ptp(seen) and observed.all() else np.nan,
        sigma=float(best.sigma[0]),
        spread=_spread(cells, values, observed),
        delta_aic=delta_aic,
        preferred=preferred,
        curvature=curvature,
    )


def _coefficient(value: float, again: np.ndarray, stretch: float) -> Coefficient:
    low, high = value + stretch * (np.quantile(again, TAILS) - value)
    return Coefficient(float(value), float(low), float(high))


def _spread(cells: list, values: np.ndarray, observed: np.ndarray) -> float:
    """Standard deviation of log steps around the mean of their cell, of those observed."""
    groups: dict = {}
    for cell, value, seen in zip(cells, values, observed):
        if seen:
            groups.setdefault(cell, []).append(value)
    squares = sum(((np.array(group) - np.mean(group)) ** 2).sum() for group in groups.values())
    freedom = sum(len(group) - 1 for group in groups.values())
    return float(np.sqrt(squares / freedom)) if freedom else np.nan
