"""The tables that the scripts print, and the survey of heads and the fitted laws as rows of CSV."""

from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from attention_dynamics.copying.heads import OUTCOMES, Experiment, outcome_of_head
from attention_dynamics.copying.histories import (
    LEARNED,
    Combinations,
    History,
    has_learned,
    kinds_of_combinations,
    learned_at,
)
from attention_dynamics.copying.law import REPETITION, TIMES
from attention_dynamics.copying.power_law import Law

SHOWN = {  # columns of a history, and their labels
    "token_accuracy": "token accuracy",
    "attention_accuracy": "attention at the position",
    "attention_accuracy_before": "attention one before",
    "attention_accuracy_after": "attention one after",
}
LAW_HEADER = (  # of law_rows
    *("time", "repetition", "seeds", "censored", "term", "value", "low", "high"),
    *("intercept", "r2", "sigma", "spread", "delta_aic", "preferred"),
)
LEGEND = (  # of laws_lines
    "[95%]: bootstrap over seeds. sigma: residual of log steps. within: their spread among the",
    "seeds of a setting. dAIC: AIC of an exponential in length less that of the power law.",
    "better: resamples in which the power law has the lower AIC. bend: coefficient of",
    "(log length)^2, 0 for a power law.",
)


def seeds_lines(histories: list[History]) -> list[str]:
    """How many seeds learned to copy, and quantiles over seeds of their final values."""
    steps = [step for step in map(learned_at, histories) if step is not None]
    when = f", half of them by step {np.median(steps):g}" if steps else ""
    lines = [
        f"{len(steps)} of {len(histories)} seeds learned to copy "
        f"(token accuracy over {LEARNED}){when}",
        f"{'':<30}" + "".join(f"{name:>8}" for name in ("min", "25%", "median", "75%", "max")),
    ]
    for column, label in SHOWN.items():
        final = [history[column][-1] for history in histories]
        values = np.quantile(final, [0, 0.25, 0.5, 0.75, 1])
        lines.append(f"{label:<30}" + "".join(f"{value:8.4f}" for value in values))
    return lines


def print_combinations(curves: Combinations, threshold: float) -> None:
    """Mean and spread of the final accuracy of each kind, and the mean of its attention accuracy.

    ``attention`` is the share of heads and positions at which attention is highest where it should
    be: if a few heads of a combination do the work, about their share of all heads.
    """
    header = ("samples", "mean", "std", "min", "median", "max", "learned", "attention")
    print(f"\n{'token accuracy':<26}" + "".join(f"{name:>10}" for name in header))
    for label, kind in zip(kinds_of_combinations(curves), curves):
        if not kind:
            print(f"{label:<26}{0:>10}")
            continue
        values = np.array([history["token_accuracy"][-1] for history in kind.values()])
        learned = sum(has_learned(history, threshold) for history in kind.values())
        attention = np.mean([history["attention_accuracy"][-1] for history in kind.values()])
        spread = values.std(ddof=1) if len(values) > 1 else np.nan
        numbers = (values.mean(), spread, values.min(), np.median(values), values.max())
        print(
            f"{label:<26}{len(values):>10}"
            + "".join(f"{number:10.4f}" for number in numbers)
            + f"{learned:>10}{attention:10.4f}"
        )


def survey_csv(trials: dict[int, dict[int, list[History]]]) -> str:
    """Every trial's learning curve, a line for each evaluation."""
    lines = [",".join(["base", "head", "data_seed", "step", *SHOWN])]
    for base, heads in trials.items():
        for head, histories in heads.items():
            for data_seed, history in enumerate(histories):
                for step, *row in zip(history["step"], *(history[name] for name in SHOWN)):
                    values = ",".join(f"{value:.4f}" for value in row)
                    lines.append(f"{base},{head},{data_seed},{step},{values}")
    return "\n".join(lines) + "\n"


def print_survey(experiment: Experiment, trials: dict[int, dict[int, list[History]]]) -> None:
    """How many heads are good and bad on each base, and how trials fail."""
    counts = []
    for base, heads in trials.items():
        outcomes = [outcome_of_head(experiment, histories) for histories in heads.values()]
        counts.append([base, len(outcomes), *map(outcomes.count, OUTCOMES[:3])])
    print(f"\n{'base':>6}{'heads':>7}" + "".join(f"{outcome:>9}" for outcome in OUTCOMES[:3]))
    totals = ["all", *np.sum([row[1:] for row in counts], axis=0)]
    for base, tried, *by_fate in [*counts, totals]:
        print(f"{base:>6}{tried:>7}" + "".join(f"{count:>9}" for count in by_fate))

    failing = [
        ((base, head, data_seed), history)
        for base, heads in trials.items()
        for head, histories in heads.items()
        for data_seed, history in enumerate(histories)
        if not has_learned(history, experiment.learned)
    ]
    if not failing:
        return
    evaluations = experiment.settings.evaluations
    shown = sorted({round(part * (len(evaluations) - 1) / 5) for part in range(1, 6)})
    print("\nTrials that never pass. Left: attention at the position, by step. Right, after the")
    print("last step: attention one position before and one after, and token accuracy.")
    header = "".join(f"{evaluations[i]:>8}" for i in shown)
    print(f"{'base':>6}{'head':>6}{'data':>6} |{header} |{'before':>8}{'after':>8}{'token':>8}")
    for names, history in failing:
        curve = "".join(f"{history['attention_accuracy'][i]:8.4f}" for i in shown)
        token, _, *attention = (history[column][-1] for column in SHOWN)
        at_end = "".join(f"{value:8.4f}" for value in (*attention, token))
        print("".join(f"{name:>6}" for name in names) + f" |{curve} |{at_end}")


def times_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Of each setting the median of both times, the range of the first, and what never came.

    Parameters
    ----------
    rows : a dictionary for each model: ``repetition``, ``vocab``, ``length`` and both times
    """
    header = ("median", "min", "max", "median", "copies", "attends", "seeds")
    lines = [
        f"{'':<28}{'updates until copying':^28}{'until attending':>18}{'never, of seeds':>18}",
        f"{'repetition':<12}{'vocab':>7}{'length':>8} " + "".join(f"{name:>10}" for name in header),
    ]
    for cell, group in groupby(rows, key=itemgetter("repetition", "vocab", "length")):
        found = list(group)
        copies, attends = (
            [np.inf if row[of] is None else row[of] for row in found] for of in TIMES
        )
        shown = (np.median(copies), min(copies), max(copies), np.median(attends))
        never = (sum(map(np.isinf, times)) for times in (copies, attends))
        lines.append(
            "{:<12}{:>7}{:>8} ".format(*cell)
            + "".join(f"{at:>10g}" if np.isfinite(at) else f"{'never':>10}" for at in shown)
            + "".join(f"{count:>10}" for count in (*never, len(found)))
        )
    return lines


def laws_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Exponents with their intervals, the factors of repetition, and the exponential beside.

    Parameters
    ----------
    rows : of :func:`law_rows`
    """
    if not rows:
        return []
    laws = [
        (group[0], {row["term"]: row for row in group})
        for group in (list(of) for _, of in groupby(rows, key=itemgetter("time", "repetition")))
    ]
    lines = [
        "steps = c length^a vocab^b, times a factor for each kind of repetition",
        f"{'time':<9}{'repetition':<12}{'seeds':>6}{'never':>6}  {'a (length)':<24}"
        f"{'b (vocabulary)':<24}{'R2':>6}{'sigma':>7}{'within':>7}{'dAIC':>8}{'better':>8}  bend",
    ]
    for law, terms in laws:
        lines.append(
            f"{law['time']:<9}{law['repetition']:<12}{law['seeds']:>6}{law['censored']:>6}  "
            f"{interval(terms.get('length')):<24}{interval(terms.get('vocab')):<24}"
            f"{number(law['r2'], '6.3f')}{law['sigma']:>7.3f}{number(law['spread'], '7.3f')}"
            f"{number(law['delta_aic'], '8.1f')}{number(law['preferred'], '8.1%')}"
            f"  {interval(terms.get('bend'))}"
        )
    for law, terms in laws:
        for name, term in terms.items():
            if name in REPETITION:
                factor = {of: np.exp(term[of]) for of in ("value", "low", "high")}
                lines.append(f"{law['time']}, factor of {name}: {interval(factor)}")
    return [*lines, *LEGEND]


def number(value: float, form: str) -> str:
    """``value`` in a format such as ``6.3f``; a dash of the same width if it is NaN."""
    return f"{'-':>{form.partition('.')[0]}}" if np.isnan(value) else f"{value:{form}}"


def interval(term: dict[str, float] | None) -> str:
    return "-" if term is None else "{value:.3f} [{low:.3f}, {high:.3f}]".format(**term)


def law_rows(laws: list[Law]) -> list[dict[str, Any]]:
    """A row for each coefficient of each law; the fit's own figures stand in each."""
    found = []
    for law in laws:
        for term, coefficient in {**law.coefficients, "bend": law.curvature}.items():
            if coefficient is not None:
                row = vars(law) | vars(coefficient) | {"term": term}
                found.append({name: row[name] for name in LAW_HEADER})
    return found
