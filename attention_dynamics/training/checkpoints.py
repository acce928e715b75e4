"""The checkpoints that an evaluation reads: the list of them, their files, their weights."""

import argparse
import contextlib
import itertools
import math
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import BaseCorpus
from attention_dynamics.files import seal, storage
from attention_dynamics.training.engine import check_settings
from attention_dynamics.training.runs import (
    checkpoint_path,
    run_folder,
    run_record,
    without_interventions,
)


@dataclass(frozen=True)
class CheckpointSpec:
    """A checkpoint to evaluate, and the name of its run: an entry of ``configs/<dataset>.json``."""

    name: str
    iteration: int
    seed: int
    uniform: bool
    calculate_grad: bool


def add_flags(parser: cli.Parser) -> None:
    """``--runs`` and ``--iterations``, to choose checkpoints; ``--parts_only``, for many jobs."""
    parser.add_argument(
        "--runs", nargs="+", metavar="NAME", help="such as Normal_A uniform (default: all)"
    )
    parser.add_argument(
        "--iterations",
        type=cli.steps_or_saved,
        help="checkpoints of each run, such as 0,50,100; saved: those that all runs saved "
        "(default: the published ones; of your own data, saved)",
    )
    parser.add_argument(
        "--parts_only",
        action="store_true",
        help="write each evaluated checkpoint to its own file beside the dump, so that processes "
        "with different --runs can work in parallel; a call without both flags gathers the files",
    )


def to_evaluate(
    args: argparse.Namespace, corpus: BaseCorpus, config: dict[str, Any], grad_by_default: bool
) -> list[CheckpointSpec]:
    """The checkpoints to evaluate, as the flags of :func:`add_flags` choose them.

    They are chosen among those :func:`known`. ``--iterations`` takes the place of a list's; with
    ``saved`` the runs are a list's, if there is one, and otherwise those :func:`saved`.

    Raises
    ------
    InputError
        where there is no such run, or a list cannot be used.
    """
    every = args.iterations in (None, "saved")
    has_list = corpus.find_file(args.configs_dir, ".json", "_log.json") is not None
    if args.iterations == "saved" and not has_list:
        found = saved(args.models_dir, corpus, config)
    else:
        found = known(args.configs_dir, args.models_dir, corpus, config, grad_by_default, every)
    runs = {entry.name: entry for entry in found}
    asked = [name for part in args.runs or () for name in part.split(",")] or list(runs)
    wanted = cli.chosen_runs(asked, list(runs))
    if args.iterations is None:
        return [entry for entry in found if entry.name in wanted]
    iterations = args.iterations
    if iterations == "saved":
        folders = [
            run_folder(args.models_dir, corpus.name, config, entry.seed, entry.uniform)
            for entry in runs.values()
        ]
        iterations = sorted(set.intersection(*map(saved_in, folders)))
        if not iterations:
            raise InputError(
                f"{args.models_dir / corpus.name}: no checkpoint was saved by all of "
                f"{' '.join(entry.name for entry in runs.values())}: train these runs"
            )
    with_grad = {entry.name for entry in found if entry.calculate_grad}
    return [
        replace(entry, iteration=iteration, calculate_grad=name in with_grad)
        for name, entry in runs.items()
        if name in wanted
        for iteration in iterations
    ]


def known(
    configs_dir: Path,
    models_dir: Path,
    corpus: BaseCorpus,
    config: dict[str, Any],
    grad_by_default: bool,
    every: bool = False,
) -> list[CheckpointSpec]:
    """The checkpoints of the list in ``configs_dir``.

    Without a list: those of the published grid, or of a user's own dataset those :func:`saved`.

    Parameters
    ----------
    configs_dir : a list is called ``<dataset>.json``, else ``<dataset>_log.json``, by any name of
        the dataset
    grad_by_default : as in :func:`load_evaluated`
    every : as in :func:`saved`

    Raises
    ------
    InputError
        where a list cannot be used, or nothing was saved.
    """
    path = corpus.find_file(configs_dir, ".json", "_log.json")
    if path is not None:
        return load_evaluated(path, grad_by_default)
    if corpus.own:
        return saved(models_dir, corpus, config, every)
    return [
        CheckpointSpec(run.name, iteration, run.seed, run.uniform, run.calculate_grad)
        for run in corpus.runs
        for iteration in corpus.iterations
    ]


def saved(
    models_dir: Path, corpus: BaseCorpus, config: dict[str, Any], every: bool = True
) -> list[CheckpointSpec]:
    """The checkpoints of a dataset that all its runs of a model's configuration saved.

    A run with the seed of a published one has its name. The others are called ``Normal_A``,
    ``Normal_B``, ... by rising seed, as far as these names are free. Of the runs with uniform
    attention one is taken: the published seed's, else that of the lowest seed. Delta is computed
    for ``Normal_A`` alone, as in the published grid.

    Parameters
    ----------
    every : print a line with the checkpoints that are left out because other runs lack them

    Raises
    ------
    InputError
        where there are no runs, or no checkpoint that all of them saved.
    """
    runs = []
    for folder in (models_dir / corpus.name).glob("*seed=*"):
        match = re.search(r"seed=(\d+),(normal|uniform)", folder.name)
        if match:
            seed, uniform = int(match[1]), match[2] == "uniform"
            steps = saved_in(folder)
            if steps and folder == run_folder(models_dir, corpus.name, config, seed, uniform):
                runs.append((seed, uniform, steps))
    train = f"train with --dataset {corpus.name}, or check --config"
    if not runs:
        pattern = run_folder(models_dir, corpus.name, config, 0, False).name
        raise InputError(
            f"{models_dir / corpus.name} has no checkpoints of a run such as {pattern}: {train}"
        )
    published = {(run.seed, run.uniform): run.name for run in corpus.runs}
    letters = [f"Normal_{letter}" for letter in string.ascii_uppercase]
    taken = {published.get((seed, uniform)) for seed, uniform, _ in runs}
    free = (
        name
        for name in itertools.chain(letters, (f"Normal_{n}" for n in itertools.count(27)))
        if name not in taken
    )
    uniform_seeds = sorted(seed for seed, uniform, _ in runs if uniform)
    kept = [seed for seed in uniform_seeds if (seed, True) in published] or uniform_seeds
    named = {}
    for seed, uniform, steps in sorted(runs):
        if uniform and seed != kept[0]:
            print(f"left out: uniform attention, seed {seed}; seed {kept[0]} is evaluated")
        else:
            name = "uniform" if uniform else published.get((seed, False)) or next(free)
            named[name] = (seed, uniform, steps)
    common = set.intersection(*(steps for *_, steps in named.values()))
    if not common:
        raise InputError(
            f"{models_dir / corpus.name}: no checkpoint was saved by all runs: {train}"
        )
    for name, (*_, steps) in sorted(named.items()):
        if every and steps > common:
            others = " ".join(map(str, sorted(steps - common)))
            print(f"left out, not saved by all runs: {name} {others}")
    return [
        CheckpointSpec(name, iteration, seed, uniform, name == "Normal_A")
        for name, (seed, uniform, _) in sorted(named.items())
        for iteration in sorted(common)
    ]


def saved_in(folder: Path) -> set[int]:
    """The steps whose checkpoints are in a run's folder."""
    return {
        int(path.name.removeprefix("model"))
        for path in folder.glob("model*")
        if re.fullmatch(r"model\d+", path.name)
    }


def load_evaluated(path: Path, grad_by_default: bool) -> list[CheckpointSpec]:
    """Read the list of checkpoints that an evaluation reads.

    Parameters
    ----------
    grad_by_default : ``calculate_grad`` may be absent, and is then true

    Raises
    ------
    InputError
        that names the first entry with a missing, unknown or wrong key.
    """
    entries = storage.load_json(path, "it lists the checkpoints to evaluate")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path} is not a list of checkpoints")
    types = {"name": str, "iteration": int, "seed": int, "uniform": bool, "calculate_grad": bool}
    evaluated = []
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise InputError(f"{path}, entry {number}: {entry!r} is not an object")
        if grad_by_default:
            entry = {"calculate_grad": True} | entry
        for key in [*types, *entry]:
            if key not in entry:
                raise InputError(f'{path}, entry {number}: "{key}" is missing')
            if key not in types:
                raise InputError(f'{path}, entry {number}: "{key}" is unknown')
            wrong = type(entry[key]) is not types[key]
            wrong = wrong or (key == "iteration" and entry[key] < 0)
            # a part of a file's name
            if wrong or (key == "name" and not re.fullmatch(r"[\w.+-]+", entry[key])):
                raise InputError(f'{path}, entry {number}: "{key}" is {entry[key]!r}')
        evaluated.append(CheckpointSpec(**entry))
    seen = set()
    for entry in evaluated:
        if (entry.name.lower(), entry.iteration) in seen:
            raise InputError(f"{path}: {entry.name} at {entry.iteration} is listed twice")
        seen.add((entry.name.lower(), entry.iteration))
    return evaluated


def require_checkpoints(paths: Iterable[Path], make: str) -> None:
    """Raise an InputError that names all the checkpoints that do not exist, a folder at a time."""
    missing: dict[Path, list[str]] = {}
    for path in paths:
        if not path.is_file():
            missing.setdefault(path.parent, []).append(path.name)
    if missing:
        listed = "; ".join(f"{folder}: {' '.join(names)}" for folder, names in missing.items())
        count = sum(map(len, missing.values()))
        raise InputError(f"{count} checkpoints are missing ({make}): {listed}")


def evaluated_checkpoints(
    evaluated: list[CheckpointSpec],
    models_dir: Path,
    dataset: str,
    config: dict[str, Any],
    settings: dict[str, Any],
    make: str,
    end_is_last: bool = False,
) -> tuple[list[CheckpointSpec], list[Path]]:
    """The checkpoints that can be evaluated, and the file of each.

    A checkpoint past the end of its run (as ``run.json`` records it) is left out, and a line names
    it.

    Parameters
    ----------
    settings : what the runs must have been trained with, as far as ``run.json`` records it
    make : what to do about a missing checkpoint, for the message
    end_is_last : as in :func:`runs.saved_steps`

    Raises
    ------
    InputError
        if another checkpoint is missing, all lie past the end, or the runs end at different steps
        or were trained with different settings.
    """
    kept, paths = [], []
    left_out: dict[tuple[str, float], list[int]] = {}
    for entry in evaluated:
        folder = run_folder(models_dir, dataset, config, entry.seed, entry.uniform)
        path = checkpoint_path(folder, entry.iteration)
        record = run_record(folder)
        if record:
            trained = {k: v for k, v in record["settings"].items() if k not in ("seed", "uniform")}
            settings = trained | settings  # the optimizer of all runs is that of the first
            expected = without_interventions(settings) if entry.uniform else settings
            check_settings(trained, expected, folder, make)
        end = record["steps"] - 1 if record and end_is_last else record.get("steps", math.inf)
        if entry.iteration > end and not path.is_file():
            left_out.setdefault((entry.name, end), []).append(entry.iteration)
        else:
            kept.append(entry)
            paths.append(path)
    require_checkpoints(paths, make)
    late = [
        f"{name} {' '.join(map(str, iterations))} (ends at {end:,})"
        for (name, end), iterations in left_out.items()
    ]
    if not kept:
        raise InputError(f"all checkpoints lie past the end of training: {'; '.join(late)}")
    cut = {iteration for iterations in left_out.values() for iteration in iterations}
    if any(entry.iteration in cut for entry in kept):
        raise InputError(
            "the runs end at different steps, so they cannot be compared; train them equally long: "
            f"past the end are {'; '.join(late)}"
        )
    for line in late:
        print(f"left out, past the end of training: {line}")
    report_equal_weights(paths)
    return kept, paths


def report_equal_weights(paths: Iterable[Path]) -> None:
    """Print a line for the checkpoints of a run that have the same weights at different steps."""
    same: dict[tuple[Path, str], list[str]] = {}
    for path in paths:
        with contextlib.suppress(seal.Damaged):  # an error when it is read
            if sealed := seal.read(path):
                same.setdefault((path.parent, sealed.content), []).append(path.name)
    for (folder, _), names in same.items():
        if len(names) > 1:
            print(f"{folder}: {', '.join(names)} have the same weights")


def load_weights(
    model: nn.Module, path: Path, make: str, entry: CheckpointSpec | None = None
) -> None:
    """Load a checkpoint's ``state_dict`` into ``model``.

    ``entry`` says which checkpoint the file must be; files without a seal are not checked.

    Raises
    ------
    InputError
        where the file is missing or damaged, another checkpoint, or its tensors are not the model's
        in name and size.
    """
    of = {"step": entry.iteration, "seed": entry.seed, "uniform": entry.uniform} if entry else None
    weights = storage.load_torch(path, make, of)
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{path} is a checkpoint of other settings or data: {reason}") from None
