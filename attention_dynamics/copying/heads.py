"""Good and bad heads: each head is tried alone on a base model, on several data seeds."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from attention_dynamics import cli
from attention_dynamics.copying.histories import History, has_learned
from attention_dynamics.copying.many import Task, train_all
from attention_dynamics.copying.model import MultiHeadCopier, build_multihead
from attention_dynamics.copying.settings import Settings
from attention_dynamics.copying.ways import Way

AT_ONCE = 8  # heads tried together, at least; progress is printed after each group
OUTCOMES = ("good", "bad", "neither", "not tried further")
FAILED = 0.6  # final token accuracy below which a trial is bad
TRIAL = ("base", "head", "data_seed")
Trials = dict[tuple[int, ...], History]  # by the three of ``TRIAL``


@dataclass(frozen=True)
class Experiment:
    """What the trials of heads and the training of combinations have in common.

    Attributes
    ----------
    seed : of the base model
    data_seeds : trials of each head, each on data of another seed
    learned : a trial is good if its token accuracy rises above this
    failed : a trial is bad if its final token accuracy is below this
    folder : keeps the learning curve of every model
    """

    settings: Settings
    hidden_dim: int
    seed: int
    data_seeds: int
    learned: float
    failed: float
    folder: Path

    def builder(self, base: int, heads: tuple[int, ...]) -> Callable[[], MultiHeadCopier]:
        """A function that builds a base model with these heads."""
        return partial(build_multihead, base, heads, self.settings.n_vocab, self.hidden_dim)


def find(
    experiment: Experiment, way: Way, good: int, bad: int, max_heads: int | None
) -> tuple[list[int], list[int]]:
    """The first ``good`` good and the first ``bad`` bad heads, in the order of their seeds.

    Fewer if ``max_heads`` ends the search.
    """
    wanted = {"good": good, "bad": bad}
    found: dict[str, list[int]] = {outcome: [] for outcome in OUTCOMES}
    attention = {}  # at the position that is copied, at the end of a head's trials
    at_once = max(AT_ONCE, way.at_once)  # does not change which heads are found
    limit = max_heads or math.inf
    seconds, timed = 0.0, 0  # the time that new trials took, and the number of their heads
    tried = 0
    while (
        lacking := [outcome for outcome in wanted if len(found[outcome]) < wanted[outcome]]
    ) and tried < limit:
        heads = range(tried, int(min(tried + at_once, limit)))
        trained: list[str] = []
        start = time.monotonic()
        trials = try_alone(experiment, way, experiment.seed, heads, lacking, trained)
        for head, histories in trials.items():
            found[outcome_of_head(experiment, histories)].append(head)
            attention[head] = [history["attention_accuracy"][-1] for history in histories]
        tried = heads.stop
        if trained:  # otherwise all trials had been kept: nothing new to report
            seconds, timed = seconds + time.monotonic() - start, timed + len(heads)
            rest = time_left(found, wanted, tried, seconds / timed)
            cli.say(f"{tried} heads tried: {counts_of(found)}{rest}")
    print(f"of {tried} heads: {counts_of(found)}")
    for outcome in wanted:
        found[outcome] = found[outcome][: wanted[outcome]]
        print(f"{outcome} heads: {' '.join(map(str, found[outcome])) or 'none'}")
        at_end = [value for head in found[outcome] for value in attention[head]]
        if at_end:  # near 0 for a good head: it copies without attention at the position
            print(
                f"  attention at the position after their trials: {np.mean(at_end):.4f} on "
                f"average, {min(at_end):.4f} to {max(at_end):.4f}"
            )
        if len(found[outcome]) < (count := wanted[outcome]):
            print(f"  fewer than the {count} wanted: a larger --max_heads continues the search")
    return found["good"], found["bad"]


def counts_of(found: dict[str, list[int]]) -> str:
    return ", ".join(f"{len(heads)} {outcome}" for outcome, heads in found.items())


def time_left(
    found: dict[str, list[int]], wanted: dict[str, int], tried: int, seconds: float
) -> str:
    """How long the search will take if it continues as so far, at ``seconds`` for each head."""
    lacking = {outcome: count - len(found[outcome]) for outcome, count in wanted.items()}
    lacking = {outcome: count for outcome, count in lacking.items() if count > 0}
    none_yet = [outcome for outcome in lacking if not found[outcome]]
    if not lacking:
        return ""
    if none_yet:
        return (
            f"; no {' and no '.join(none_yet)} head yet, so the time left is unknown "
            f"(--max_heads {tried} stops here and combines what was found)"
        )
    heads = max(count * tried / len(found[outcome]) for outcome, count in lacking.items())
    minutes = max(1, round(heads * seconds / 60))
    hours = f"{minutes // 60} h " if minutes >= 60 else ""
    return f"; at this rate about {hours}{minutes % 60} min for the rest"


def try_alone(
    experiment: Experiment,
    way: Way,
    base: int,
    heads: Iterable[int],
    lacking: Sequence[str],
    trained: list[str],
) -> dict[int, list[History]]:
    """Train the base with each of ``heads`` alone, on one data seed after the other.

    Parameters
    ----------
    lacking : the kinds, good or bad, that are needed: a head gets its next trial as long as all
        its trials so far are of one of these kinds
    trained : gets the names of the trials that had not been kept

    Returns
    -------
    the histories of each head's trials
    """
    context = {"seed": base, "hidden_dim": experiment.hidden_dim, "learned": experiment.learned}
    folder = experiment.folder / f"heads-base{base}"
    stop = partial(has_learned, threshold=experiment.learned)
    trials: dict[int, list[History]] = {head: [] for head in heads}
    for data_seed in range(experiment.data_seeds):
        names = {
            f"head{head}-data{data_seed}": head
            for head, histories in trials.items()
            if data_seed == 0
            or outcomes_of(histories, experiment.learned, experiment.failed)
            in ({outcome} for outcome in lacking)
        }
        tasks = {
            name: Task(experiment.builder(base, (head,)), data_seed) for name, head in names.items()
        }
        found = train_all(
            tasks,
            experiment.settings,
            way,
            folder,
            context,
            stop,
            finished=lambda name, _: trained.append(name),
        )
        for name, head in names.items():
            trials[head].append(found[name])
    return trials


def outcomes_of(histories: list[History], learned: float, failed: float) -> set[str]:
    """The outcomes of a head's trials: good, bad, neither."""
    return {
        "good"
        if has_learned(history, learned)
        else "bad"
        if history["token_accuracy"][-1] < failed
        else "neither"
        for history in histories
    }


def outcome_of_trials(histories: list[History], learned: float, failed: float) -> str:
    """Good or bad if all trials are, else neither."""
    outcomes = outcomes_of(histories, learned, failed)
    return outcomes.pop() if len(outcomes) == 1 else "neither"


def outcome_of_head(experiment: Experiment, histories: list[History]) -> str:
    """One of ``OUTCOMES``.

    "not tried further": its trials agree, but enough heads of that kind had been found.
    """
    outcome = outcome_of_trials(histories, experiment.learned, experiment.failed)
    complete = outcome == "neither" or len(histories) == experiment.data_seeds
    return outcome if complete else OUTCOMES[-1]


def survey(experiment: Experiment, way: Way, bases: Iterable[int], heads: int) -> Trials:
    """The trials of the first ``heads`` heads on each of several base models."""
    trials: Trials = {}
    for base in bases:
        found = try_alone(experiment, way, base, range(heads), ("good", "bad"), [])
        outcomes = [outcome_of_head(experiment, histories) for histories in found.values()]
        counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in OUTCOMES[:3])
        cli.say(f"base {base}: {heads} heads tried: {counts}")
        for head, histories in found.items():
            trials |= {(base, head, seed): history for seed, history in enumerate(histories)}
    return trials
