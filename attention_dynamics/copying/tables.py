"""The tables that the scripts print, and the survey of heads and the fitted laws as rows of CSV."""

from itertools import groupby

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
from attention_dynamics.copying.law import TIMES, Timing
from attention_dynamics.copying.power_law import Coefficient, Law

SHOWN = {  # columns of a history, and their labels
    "token_accuracy": "token accuracy",
    "attention_accuracy": "attention at the position",
    "attention_accuracy_before": "attention one before",
    "attention_accuracy_after": "attention one after",
}


def print_seeds(histories: list[History]) -> None:
    """How many seeds learned to copy, and quantiles over seeds of their final values."""
    steps = [step for step in map(learned_at, histories) if step is not None]
    when = f", half of them by step {np.median(steps):g}" if steps else ""
    print(
        f"\n{len(steps)} of {len(histories)} seeds learned to copy "
        f"(token accuracy over {LEARNED}){when}"
    )
    print(f"{'':<30}" + "".join(f"{name:>8}" for name in ("min", "25%", "median", "75%", "max")))
    for column, label in SHOWN.items():
        final = [history[column][-1] for history in histories]
        values = np.quantile(final, [0, 0.25, 0.5, 0.75, 1])
        print(f"{label:<30}" + "".join(f"{value:8.4f}" for value in values))


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


def print_times(timings: list[Timing]) -> None:
    """Of each setting the median of both times, the range of the first, and what never came."""
    print(f"\n{'':<28}{'updates until copying':^28}{'until attending':>18}{'never, of seeds':>18}")
    header = ("median", "min", "max", "median", "copies", "attends", "seeds")
    print(
        f"{'repetition':<12}{'vocab':>7}{'length':>8} " + "".join(f"{name:>10}" for name in header)
    )
    for cell, group in groupby(timings, key=lambda timing: timing.cell):
        found = list(group)
        times = {
            name: [np.inf if (at := getattr(t, name)) is None else at for t in found]
            for name in TIMES
        }
        copies = times["copies"]
        shown = (np.median(copies), min(copies), max(copies), np.median(times["attends"]))
        never = [sum(map(np.isinf, times[name])) for name in TIMES]
        print(
            f"{cell.repetition:<12}{cell.vocab:>7}{cell.length:>8} "
            + "".join(f"{at:>10g}" if np.isfinite(at) else f"{'never':>10}" for at in shown)
            + "".join(f"{count:>10}" for count in (*never, len(found)))
        )


def print_laws(laws: list[Law], notes: list[str]) -> None:
    """Exponents with their intervals, the factors of repetition, and the exponential beside."""
    if laws:
        print("\nsteps = c length^a vocab^b, times a factor for each kind of repetition")
        print(
            f"{'time':<9}{'repetition':<12}{'seeds':>6}{'never':>6}  {'a (length)':<24}"
            f"{'b (vocabulary)':<24}{'R2':>6}{'sigma':>7}{'within':>7}{'dAIC':>8}{'better':>8}"
            "  bend"
        )
    for law in laws:
        print(
            f"{law.time:<9}{law.repetition:<12}{law.seeds:>6}{law.censored:>6}  "
            f"{interval(law.coefficients.get('length')):<24}"
            f"{interval(law.coefficients.get('vocab')):<24}"
            f"{number(law.r2, '6.3f')}{law.sigma:>7.3f}{number(law.spread, '7.3f')}"
            f"{number(law.delta_aic, '8.1f')}{number(law.preferred, '8.1%')}"
            f"  {interval(law.curvature)}"
        )
    for law in laws:
        for name, coefficient in law.coefficients.items():
            if name not in ("length", "vocab"):
                value, low, high = np.exp([coefficient.value, coefficient.low, coefficient.high])
                print(f"{law.time}, factor of {name}: {value:.3f} [{low:.3f}, {high:.3f}]")
    if laws:
        print(
            "[95%]: bootstrap over seeds. sigma: residual of log steps. within: their spread "
            "among the\nseeds of a setting. dAIC: AIC of an exponential in length less that of the "
            "power law.\nbetter: resamples in which the power law has the lower AIC. bend: "
            "coefficient of\n(log length)^2, 0 for a power law."
        )
    for note in notes:
        print(note)


def number(value: float, form: str) -> str:
    """``value`` in a format such as ``6.3f``; a dash of the same width if it is NaN."""
    return f"{'-':>{form.partition('.')[0]}}" if np.isnan(value) else f"{value:{form}}"


def interval(coefficient: Coefficient | None) -> str:
    if coefficient is None:
        return "-"
    return f"{coefficient.value:.3f} [{coefficient.low:.3f}, {coefficient.high:.3f}]"


def laws_csv(laws: list[Law]) -> tuple[list[str], list[list]]:
    """Header and rows: a row for each coefficient of each law; the fit's own figures in each."""
    own = ("time", "repetition", "seeds", "censored")
    fit = ("intercept", "r2", "sigma", "spread", "delta_aic", "preferred")
    rows = [
        [
            *(getattr(law, name) for name in own),
            *(name, coefficient.value, coefficient.low, coefficient.high),
            *(getattr(law, name) for name in fit),
        ]
        for law in laws
        for name, coefficient in {**law.coefficients, "bend": law.curvature}.items()
        if coefficient is not None
    ]
    return [*own, "term", "value", "low", "high", *fit], rows
