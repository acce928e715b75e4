"""The tables that the scripts print, and the survey of heads and the fitted laws as rows of CSV."""

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from attention_dynamics.copying.heads import FAILED, OUTCOMES, TRIAL, Trials, outcome_of_trials
from attention_dynamics.copying.histories import LEARNED, History, has_learned, learned_at
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


def combinations_lines(kinds: dict[str, list[History]], threshold: float = LEARNED) -> list[str]:
    """Mean and spread of the final accuracy of each kind, and the mean of its attention accuracy.

    ``attention`` is the share of heads and positions at which attention is highest where it should
    be: if a few heads of a combination do the work, about their share of all heads.
    """
    header = ("samples", "mean", "std", "min", "median", "max", "learned", "attention")
    lines = [f"{'token accuracy':<26}" + "".join(f"{name:>10}" for name in header)]
    for label, histories in kinds.items():
        if not histories:
            lines.append(f"{label:<26}{0:>10}")
            continue
        values = np.array([history["token_accuracy"][-1] for history in histories])
        learned = sum(has_learned(history, threshold) for history in histories)
        attention = np.mean([history["attention_accuracy"][-1] for history in histories])
        spread = values.std(ddof=1) if len(values) > 1 else np.nan
        numbers = (values.mean(), spread, values.min(), np.median(values), values.max())
        lines.append(
            f"{label:<26}{len(values):>10}"
            + "".join(f"{number:10.4f}" for number in numbers)
            + f"{learned:>10}{attention:10.4f}"
        )
    return lines


def survey_csv(trials: Trials) -> str:
    """Every trial's learning curve, a line for each evaluation."""
    lines = [",".join([*TRIAL, "step", *SHOWN])]
    for trial, history in trials.items():
        for step, *row in zip(history["step"], *(history[name] for name in SHOWN)):
            lines.append(",".join([*map(str, trial), str(step), *(f"{x:.4f}" for x in row)]))
    return "\n".join(lines) + "\n"


def survey_lines(trials: Trials, learned: float = LEARNED, failed: float = FAILED) -> list[str]:
    """How many heads are good and bad on each base, and how trials fail."""
    outcomes: dict[int, list[str]] = {}
    for (base, _), group in groupby(trials, key=itemgetter(0, 1)):
        found = outcome_of_trials([trials[trial] for trial in group], learned, failed)
        outcomes.setdefault(base, []).append(found)
    shown = OUTCOMES[:3]
    counts = {
        base: [len(found), *(found.count(outcome) for outcome in shown)]
        for base, found in outcomes.items()
    }
    lines = [f"{'base':>6}{'heads':>7}" + "".join(f"{outcome:>9}" for outcome in shown)]
    for base, (tried, *by_fate) in [*counts.items(), ("all", map(sum, zip(*counts.values())))]:
        lines.append(f"{base:>6}{tried:>7}" + "".join(f"{count:>9}" for count in by_fate))

    failing = {
        trial: history for trial, history in trials.items() if not has_learned(history, learned)
    }
    if not failing:
        return lines
    steps = next(iter(failing.values()))["step"]
    places = sorted({round(part * (len(steps) - 1) / 5) for part in range(1, 6)})
    header = "".join(f"{steps[place]:>8}" for place in places)
    lines += [
        "",
        "Trials that never pass. Left: attention at the position, by step. Right, after the",
        "last step: attention one position before and one after, and token accuracy.",
        f"{'base':>6}{'head':>6}{'data':>6} |{header} |{'before':>8}{'after':>8}{'token':>8}",
    ]
    for trial, history in failing.items():
        curve = "".join(f"{history['attention_accuracy'][place]:8.4f}" for place in places)
        token, _, *attention = (history[column][-1] for column in SHOWN)
        at_end = "".join(f"{value:8.4f}" for value in (*attention, token))
        lines.append("".join(f"{name:>6}" for name in trial) + f" |{curve} |{at_end}")
    return lines


def histories_by(rows: Iterable[dict[str, Any]], *names: str) -> dict[tuple, History]:
    """Histories from rows of CSV, by what these columns hold: steps and the columns in SHOWN."""
    found: dict[tuple, History] = {}
    for row in rows:
        key = tuple(row[name] for name in names)
        history = found.setdefault(key, {name: [] for name in ("step", *SHOWN)})
        for name, values in history.items():
            values.append(row[name])
    return found


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
