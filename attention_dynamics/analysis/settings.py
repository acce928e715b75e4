"""Several settings (encoders, interventions) of one dataset side by side: every figure over seeds.

Each normal run in turn is the gold run, so that every figure has a value for each seed. Those of
two settings are paired by the name of the run, which stands for its seed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attention_dynamics.analysis import onsets
from attention_dynamics.analysis.dynamics import first_exceeding
from attention_dynamics.analysis.evidence import Evidence, RunNames
from attention_dynamics.analysis.measures import MEASURES
from attention_dynamics.analysis.metrics.metric import Metric
from attention_dynamics.analysis.onsets import OF_ALPHA, Curve

Values = dict[str, float]  # {gold run, in lower case: value}; see ``Seed.figures``


@dataclass(frozen=True)
class Seed:
    """One normal run, as the gold run.

    Attributes
    ----------
    name : in lower case
    curves : of :func:`onsets.curves`
    performances : of this run, {iteration: value}
    others : the mean performance of the other normal runs, {iteration: value}
    measures : of this run at the last iteration, by the names of ``MEASURES``
    times : of :func:`onsets.onsets`, without the intervals
    """

    name: str
    curves: dict[str, Curve]
    performances: dict[int, float]
    others: dict[int, float]
    measures: dict[str, float]
    times: dict[str, float]

    def maximum(self, source: str) -> float:
        """Over iterations, of ``A(alpha_gold, ...)``; NaN if there is none."""
        return (
            float(np.fmax.reduce(self.curves[source].means)) if source in self.curves else math.nan
        )

    def xi(self) -> float:
        """ξ(α, βᵘᶠ); infinite if it is never reached."""
        level = self.maximum("unif")
        if math.isnan(level):
            return math.nan
        curve = self.curves[OF_ALPHA]
        corrs = dict(zip(curve.iterations, curve.means.tolist()))
        xi = first_exceeding(corrs, self.others, level)
        return math.inf if xi is None else xi


@dataclass(frozen=True)
class Figure:
    """A line of the table.

    Attributes
    ----------
    text : how the table writes it
    of : gives a seed's value; NaN if there is none, infinite if it is never reached
    kind : "share" (three decimals), "nats" (two), "updates" (none) or "performance"
    """

    text: str
    of: Callable[[Seed], float]
    kind: str = "share"


def _time(key: str) -> Figure:
    return Figure(onsets.text_of(key), lambda seed: seed.times.get(key, math.nan), "updates")


def _measure(name: str) -> Figure:
    return Figure(f"{MEASURES[name].symbol}, end", lambda seed: seed.measures[name], "nats")


FIGURES: dict[str, Figure] = {
    "agr_alpha": Figure("A(α, α), end", lambda seed: float(seed.curves[OF_ALPHA].means[-1])),
    "agr_unif": Figure("A(α, βᵘᶠ)", lambda seed: seed.maximum("unif")),
    "agr_normal": Figure("A(α, β)", lambda seed: seed.maximum("normal")),
    "baseline": Figure("Â", lambda seed: seed.curves[OF_ALPHA].chance),
    "xi_unif": Figure("ξ(α, βᵘᶠ)", Seed.xi, "performance"),
    **{key: _time(key) for key in onsets.times(list(onsets.SOURCES))},
    **{name: _measure(name) for name in MEASURES},
    "best_perf": Figure("ξ*, best", lambda seed: max(seed.performances.values()), "performance"),
    "last_perf": Figure(
        "performance, end", lambda seed: seed.performances[max(seed.performances)], "performance"
    ),
}


def seeds_of(
    runs: RunNames,
    evidence: Evidence,
    metric: Metric,
    resamples: int,
    seed: int = 0,
    progress: Callable[[], Any] = lambda: None,
) -> list[Seed]:
    """Each normal run of a dump as the gold run.

    Parameters
    ----------
    resamples : of the sentences, to find onsets
    seed : of the resamples
    progress : called after each run
    """
    found = []
    last = runs.iterations[-1]
    for each in runs.golds:
        curves = onsets.curves(each, evidence, metric)
        alpha, beta = (evidence.column(name, each.gold, last) for name in ("alpha", "beta"))
        of_runs = {
            it: [evidence.performance(name, it) for name in each.comparisons]
            for it in runs.iterations
        }
        found.append(
            Seed(
                name=each.gold.lower(),
                curves=curves,
                performances={it: evidence.performance(each.gold, it) for it in runs.iterations},
                others={it: float(np.mean(of)) for it, of in of_runs.items()},
                measures={
                    name: measure.mean(alpha, beta, evidence.offsets)
                    for name, measure in MEASURES.items()
                },
                times={
                    key: time.value for key, time in onsets.onsets(curves, resamples, seed).items()
                },
            )
        )
        progress()
    return found


@dataclass(frozen=True)
class Spread:
    """A figure over seeds.

    Attributes
    ----------
    mean : over the ``count`` seeds that have a finite value; None if there are none
    half_width : of the t interval of 95% around the mean; None with fewer than two seeds
    count : of the seeds with a finite value
    never : seeds that do not reach it (it is infinite), which are not in the mean
    """

    mean: float | None
    half_width: float | None
    count: int
    never: int


def over_seeds(values: list[float]) -> Spread:
    """The mean and its t interval, leaving out NaN.

    All runs of a setting share its uniform run, and each pair of runs is in the values of two gold
    runs, so the values are not quite independent and the interval is rather too narrow.
    """
    from scipy.special import stdtrit  # slow to import

    finite = [value for value in values if math.isfinite(value)]
    never = sum(map(math.isinf, values))
    if not finite:
        return Spread(None, None, 0, never)
    n = len(finite)
    half = None
    if n > 1:
        half = float(stdtrit(n - 1, 0.975) * np.std(finite, ddof=1) / math.sqrt(n))
    return Spread(float(np.mean(finite)), half, n, never)


@dataclass(frozen=True)
class Setting:
    """A folder of outputs.

    ``differences`` are from the first setting, paired by the name of the run; it has none itself.
    """

    name: str
    seeds: list[Seed]
    figures: dict[str, Spread]
    differences: dict[str, Spread] = field(default_factory=dict)


def settings_of(names: list[str], seeds: list[list[Seed]]) -> list[Setting]:
    """Every figure of every setting, and its differences from the first one."""
    values = [
        {key: {seed.name: figure.of(seed) for seed in of} for key, figure in FIGURES.items()}
        for of in seeds
    ]
    return [
        Setting(
            name,
            of,
            {key: over_seeds(list(found.values())) for key, found in own.items()},
            {key: over_seeds(paired(found, values[0][key])) for key, found in own.items()}
            if number
            else {},
        )
        for number, (name, of, own) in enumerate(zip(names, seeds, values))
    ]


def paired(a: Values, b: Values) -> list[float]:
    """``a - b`` of the runs that both have; NaN if neither reaches a figure."""
    return [
        math.nan if math.isinf(a[name]) and math.isinf(b[name]) else a[name] - b[name]
        for name in a
        if name in b
    ]


def band(seeds: list[Seed], what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Over seeds at each iteration: iterations, mean, half width of the t interval (or NaN).

    Parameters
    ----------
    what : one of ``onsets.SOURCES``, or "performance"
    """
    iterations = sorted(seeds[0].performances)
    if what == "performance":
        values = [[seed.performances[it] for it in iterations] for seed in seeds]
    else:
        values = [list(seed.curves[what].means) for seed in seeds]
    spreads = [over_seeds(list(of)) for of in zip(*values)]
    mean, half = (
        np.array([getattr(spread, name) for spread in spreads], dtype=float)
        for name in ("mean", "half_width")
    )
    return np.array(iterations), mean, half
