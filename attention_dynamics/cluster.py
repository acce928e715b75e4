"""The published grid as jobs that need one another: what the Snakefile is made from.

The commands are those of :mod:`attention_dynamics.grid`, so the bash scripts and a cluster run the
same. A finished job leaves a marker in ``.grid``, which holds the time; no result is declared to
the engine, so it never deletes one. Like the grid, this imports the standard library only.
"""

import re
from dataclasses import dataclass

from attention_dynamics import grid
from attention_dynamics.copying.experiments import EXPERIMENTS
from attention_dynamics.corpus import BaseCorpus
from attention_dynamics.grid import TASKS

MARKERS = ".grid"
COLLECT = "--include_kendall_tau --include_train_results"
BASELINES = {"embedding": "embedding_runs", "logistic": "logistic_runs"}


@dataclass(frozen=True)
class Job:
    """One job. Its name is ``<kind>/<task>/<dataset>`` or so; :func:`marker` is its marker.

    Attributes
    ----------
    folder : where the command runs, in the root of the repository
    command : of bash, with ``python`` for the interpreter
    needs : names of the jobs that must have ended
    results : patterns of files in ``folder``; if there is none of them, the job has to run
    depends : what the command does not show: if it changes, the job has to run
    """

    folder: str
    command: str
    needs: tuple[str, ...]
    results: tuple[str, ...]
    depends: str = ""


def marker(job: str) -> str:
    return f"{MARKERS}/{job}"


def all_jobs() -> dict[str, Job]:
    """Every job of every dataset that is known, published or not, and of sequence copying."""
    jobs: dict[str, Job] = {}
    for task, table in TASKS.items():
        for name in table.names(grid.data_folder(task)):
            jobs |= dataset_jobs(task, table.find(name, grid.data_folder(task)))
    for name in ("copying", "toy"):
        jobs |= copying_jobs(name)
    for target, needs in targets().items():
        jobs[f"report/{target}"] = Job(".", "python report.py", needs, ("report/index.html",))
    return jobs


def dataset_jobs(task: str, corpus: BaseCorpus) -> dict[str, Job]:
    """Preparation, training, evaluation, word baselines, tables, figures and page of a dataset."""
    name = corpus.name

    def commands(stage: str) -> list[str]:
        lines = grid.dataset_jobs(task, stage, corpus)
        return [f"python {line.partition('|')[2]} --wait" for line in lines]

    def job(kind: str, *part: str) -> str:
        return "/".join([kind, task, name, *part])

    data = [f"data/{file}" for file in corpus.training_files]
    there = " || ".join(f"[ -e {file} ]" for file in data)
    prepare = f"{there} || python prepare_data.py --dataset {name}"
    jobs = {job("prepare"): Job(task, prepare, (), tuple(data))}
    prepared = (job("prepare"),)

    runs = []
    for run, command in zip(corpus.runs, commands("train_runs")):
        kind = "uniform" if run.uniform else "normal"
        result = f"models/{name}/*seed={run.seed},{kind}/run.json"
        runs.append(job("train", run.name))
        jobs[runs[-1]] = Job(task, command, prepared, (result,))

    # A list of the user's own may name other runs: its checkpoints are one job.
    own_list = corpus.find_file(grid.ROOT / task / "configs", ".json", "_log.json")
    depends = own_list.read_text() if own_list else str(corpus.iterations)
    parts = []
    for run, trained, command in zip(corpus.runs, runs, commands("dump_parts")):
        if own_list is None:
            # which checkpoints of a user's own data are evaluated depends on all runs
            needs = tuple(runs) if corpus.own else (trained,)
            parts.append(job("evaluate", run.name))
            result = f"outputs/{name}_logs.p*"
            jobs[parts[-1]] = Job(task, command, needs, (result,), depends)
    (dump,) = commands("dump_logs")
    needs = tuple(parts or runs)
    jobs[job("gather")] = Job(task, dump, needs, (f"outputs/{name}_logs.pkl",), depends)

    baselines = []
    for kind, stage in BASELINES.items():
        if (grid.ROOT / task / f"{stage}.sh").exists():
            (command,) = commands(stage)
            baselines.append(job(kind))
            result = f"outputs/{name}{'_' * (kind == 'logistic')}{kind}*.pkl"
            jobs[job(kind)] = Job(task, command, prepared, (result,))

    stats, flags = f"outputs/{name}_stats.pkl", COLLECT
    if "--eval_bleu" in corpus.evaluate:
        flags += " --include_bleu_results"
    collect = (
        f"python collect_{task}_stats.py --datasets {name} --out_file {stats} {flags} "
        f">outputs/{name}_table.txt"
    )
    plot = f"python plot_dynamics.py --datasets {name} --stats {stats}"
    needs = (job("gather"), *baselines)
    jobs[job("collect")] = Job(task, collect, needs, (stats,))
    jobs[job("plot")] = Job(task, plot, (job("collect"),), (f"outputs/{name}_dynamics.png",))
    explore = f"python explore.py --dataset {name}"
    jobs[job("explore")] = Job(task, explore, needs, (f"outputs/{name}_explorer.html",))
    return jobs


def copying_jobs(name: str) -> dict[str, Job]:
    """The experiments of sequence copying and their figure: ``copying``, the published, or ``toy``.

    A job trains its models side by side, one a thread that the engine gives it.
    """
    jobs, named = {}, []
    for experiment in ("seq2seq", "multihead") if name == "copying" else (name,):
        for line in EXPERIMENTS[experiment]:
            label, _, command = line.partition("|")
            found = re.search(r"--exp_name (\S+)", command)
            named += [found[1]] if found else []
            result = "re_8headcomb.pkl" if experiment == "multihead" else "logs/*.pkl"
            jobs[f"copy/{experiment}/{label.replace(' ', '_')}"] = Job(
                "SequenceCopying",
                f"python {command} --jobs $OMP_NUM_THREADS --wait",
                (),
                (f"logs/{found[1]}.pkl" if found else result,),
            )
    flags = f" --experiments {' '.join(named)} --name {name}" if named else ""
    plot = f"python plot_copying.py{flags}"
    jobs[f"plot_copying/{name}"] = Job(
        "SequenceCopying", plot, tuple(jobs), (f"outputs/{name}.png",)
    )
    return jobs


def targets() -> dict[str, tuple[str, ...]]:
    """What can be asked for, and the last jobs of each: a dataset, a task, ``copying``, ``all``."""
    found: dict[str, tuple[str, ...]] = {"all": ()}

    def add(target: str, *jobs: str) -> None:
        found[target] = (*found.get(target, ()), *jobs)

    for task, table in TASKS.items():
        for name in table.names(grid.data_folder(task)):
            last = (f"plot/{task}/{name}", f"explore/{task}/{name}")
            add(name, *last)
            if name in table and table[name].published:
                add(task, *last)
                add("all", *last)
    for name in ("copying", "toy"):
        add(name, f"plot_copying/{name}")
    add("all", "plot_copying/copying")
    return found


def forget(jobs: dict[str, Job]) -> list[str]:
    """Remove the marker of each job whose result, or the marker of what it needs, is not there.

    Without this an engine would not look behind the last marker.

    Parameters
    ----------
    jobs : each behind those that it needs

    Returns
    -------
    names of the jobs whose markers were removed
    """
    lost = []
    for name, job in jobs.items():
        path = grid.ROOT / marker(name)
        if path.exists() and not (
            all((grid.ROOT / marker(other)).exists() for other in job.needs)
            and any(any((grid.ROOT / job.folder).glob(pattern)) for pattern in job.results)
        ):
            path.unlink()
            lost.append(name)
    return lost
