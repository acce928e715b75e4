"""What the published grid costs, and how long it takes on 1, 10 or 100 workers: a simulation.

reads:   nothing but the tables; rates are those of estimates.py, and the assumptions below
writes:  results/cluster_cost.csv; a table to the terminal
next:    python results/draw.py cluster_cost

example:
  python benchmarks/grid_cost.py
"""

import heapq
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from attention_dynamics import cluster, grid
from attention_dynamics.estimates import COPIER_STEP, MEASURED, RESUME, TRANSLATOR
from attention_dynamics.files import storage

RESULTS = Path(__file__).resolve().parents[1] / "results"
OVERHEAD = 10.0  # seconds of the scheduler, the engine and importing torch, a job
LAST = 300.0  # seconds to collect, to draw and to write a page, each
TARGETS = ("all", "classification")
WORKERS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200)

Row = tuple[str, int, float]  # target, workers, hours


@dataclass(frozen=True)
class Rate:
    """Core-seconds of an update, an evaluated checkpoint and an epoch of the word baseline.

    ``updates`` is the number of updates of a translation run, ``size`` the bytes of a checkpoint.
    """

    step: float
    checkpoint: float
    epoch: float
    size: float
    measured: bool = False
    updates: int = 0


def measured(name: str, size: float) -> Rate:
    of = MEASURED[name]
    return Rate(of.step or 0, of.checkpoint or 0, of.epoch or 0, size, measured=True)


IMDB, FURD, SNS = measured("IMDB", 40e6), measured("Furd", 10.9e6), measured("SNS", 9e6)
MULTI30K = replace(measured("multi30k", TRANSLATOR), updates=36250)


def classifier(length: float, train: int, test: int, size: float) -> Rate:
    """Projected from the tokens of a sentence: through Furd (19 tokens) and IMDB (230)."""
    per_token = FURD.checkpoint / (2 * 1821 * 19)
    epoch = FURD.epoch * train * length / (6920 * 19)
    step = FURD.step + (IMDB.step - FURD.step) * (length - 19) / (230 - 19)
    return Rate(step, per_token * 2 * min(test, 4000) * length, epoch, size)


def translator(length: float, pairs: int, held_out: int, updates: int) -> Rate:
    """Projected from multi30k: 13 tokens a sentence, 29,000 pairs and 1,014 held out."""
    longer = length / 13
    checkpoint = MULTI30K.checkpoint * longer * held_out / 1014
    epoch = MULTI30K.epoch * longer * pairs / 29000
    return Rate(MULTI30K.step * longer, checkpoint, epoch, TRANSLATOR, False, updates)


# The lengths are typical ones of these corpora, and the sizes of News Commentary are those that its
# last evaluated iteration needs at least.
RATES = {
    "IMDB": IMDB,
    "Furd": FURD,
    "AG_News": classifier(45, 60000, 3800, 40e6),
    "Newsgroups": measured("Newsgroups", 10.4e6),
    "Yelp": classifier(140, 25000, 25000, 40e6),
    "Amzn": classifier(90, 25000, 25000, 40e6),
    "SNS": SNS,
    "multi30k": MULTI30K,
    "iwslt14": translator(25, 160239, 7283, 300448),
    "news_commentary_v14_en_nl": translator(28, 52000, 2000, 130000),
    "news_commentary_v14_en_pt": translator(28, 48000, 2000, 90000),
    "news_commentary_v14_it_pt": translator(28, 21000, 2000, 52000),
}
SEQ2SEQ = 20 * 200 * COPIER_STEP
# 270 trials of heads, and 150 combinations of eight heads, which cost about twice as much a step
MULTIHEAD = (270 + 2 * 150) * 200 * COPIER_STEP


def flag(command: str, name: str, default: int) -> int:
    words = shlex.split(command)
    return int(words[words.index(name) + 1]) if name in words else default


def updates_of(name: str, command: str) -> int:
    return RATES[name].updates or flag(command, "--steps", 4000)


def seconds_of(name: str, job: cluster.Job, cores: int = 8) -> float:
    """Core-seconds of a job; of the copying jobs, which have ``cores``, seconds."""
    kind, *rest = name.split("/")
    if kind == "copy":
        return (MULTIHEAD if rest[0] == "multihead" else SEQ2SEQ) / cores
    if kind in ("collect", "plot", "explore"):
        return LAST
    if kind not in ("train", "evaluate", "embedding"):
        return 60.0
    task, dataset = rest[:2]
    rate = RATES[dataset]
    if kind == "train":
        return rate.step * updates_of(dataset, job.command)
    if kind == "evaluate":
        return rate.checkpoint * len(grid.TASKS[task][dataset].iterations)
    return rate.epoch * flag(job.command, "--epochs", 30)


def makespan(jobs: dict[str, cluster.Job], seconds: dict[str, float], workers: int) -> float:
    """Seconds until all is done: whenever a worker is free it takes the job with the longest path.

    A worker is a core for most jobs; the copying jobs are counted as one worker, with more cores.
    """
    behind = {name: seconds[name] for name in jobs}  # the longest path from the begin of a job
    for name in reversed(jobs):
        for need in jobs[name].needs:
            behind[need] = max(behind[need], seconds[need] + behind[name])
    waits = {name: len(job.needs) for name, job in jobs.items()}
    users: dict[str, list[str]] = {name: [] for name in jobs}
    for name, job in jobs.items():
        for need in job.needs:
            users[need].append(name)
    ready = [(-behind[name], name) for name in jobs if not waits[name]]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, name = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[name], name))
        now, name = heapq.heappop(running)
        for user in users[name]:
            waits[user] -= 1
            if not waits[user]:
                heapq.heappush(ready, (-behind[user], user))
    return now


def needed(jobs: dict[str, cluster.Job], name: str) -> set[str]:
    return {name}.union(*(needed(jobs, other) for other in jobs[name].needs))


def disk_of(task: str, name: str) -> float:
    """Bytes of a dataset's models: what is saved, and the state to resume from."""
    corpus, rate = grid.TASKS[task][name], RATES[name]
    updates = updates_of(name, corpus.train)
    words = shlex.split(corpus.train)
    custom = {int(step) for step in words[words.index("--custom_saves") + 1].split(",")}
    saves = {*range(0, updates, flag(corpus.train, "--save_every", 250)), *custom}
    return len(corpus.runs) * (len(saves) + 1 + (task == "translation") + RESUME) * rate.size


def print_table(jobs: dict[str, cluster.Job], seconds: dict[str, float]) -> None:
    print("| dataset | jobs | training, core-hours | evaluation | word baseline | models | rates |")
    print("|---|---|---|---|---|---|---|")
    sums = [0.0] * 5
    for task, table in grid.TASKS.items():
        for name, corpus in table.items():
            if not corpus.published:
                continue
            own = [job for job in jobs if job.split("/")[1:3] == [task, name]]
            hours = {
                kind: sum(seconds[job] for job in own if job.startswith(f"{kind}/")) / 3600
                for kind in ("train", "evaluate", "embedding")
            }
            row = [len(own), *hours.values(), disk_of(task, name) / 1e9]
            sums = [a + b for a, b in zip(sums, row)]
            print(
                f"| {name} | {cells(row)} | {'measured' if RATES[name].measured else 'projected'} |"
            )
    copying = (2 * SEQ2SEQ + MULTIHEAD) / 3600
    print(f"| copying | {cells([4, copying, 0, 0, 0])} | projected |")
    sums[0] += 4
    sums[1] += copying
    print(f"| all, and the report | {cells([sums[0] + 1, *sums[1:]])} | |")


def cells(row: list[float]) -> str:
    count, *hours, disk = row
    return " | ".join([f"{count:.0f}", *(f"{hour:,.1f}" for hour in hours), f"{disk:.1f} GB"])


def main() -> None:
    every = cluster.all_jobs()
    rows: list[Row] = []
    for target in TARGETS:
        names = needed(every, f"report/{target}")
        jobs = {name: job for name, job in every.items() if name in names}
        seconds = {name: seconds_of(name, job) + OVERHEAD for name, job in jobs.items()}
        if target == "all":
            print_table(jobs, seconds)
        longest = makespan(jobs, seconds, len(jobs)) / 3600
        print(f"\n{target}: {len(jobs)} jobs; longest path {longest:.1f} h")
        for workers in WORKERS:
            rows.append((target, workers, makespan(jobs, seconds, workers) / 3600))
            print(f"{workers:>4} workers {rows[-1][2]:>8.1f} h")
    written = ((target, workers, f"{hours:.2f}") for target, workers, hours in rows)
    storage.save_csv(("target", "workers", "hours"), written, RESULTS / "cluster_cost.csv")


if __name__ == "__main__":
    main()
