"""What an evaluation found: the columns of ``outputs/<dataset>_logs.pkl``.

A dump is one dict of plain containers and numpy arrays::

    dataset      str
    vocab        the model's words, in the order of their tokens
    sentences    the evaluated sentences, once: the columns that the task gives
                 ("tokens", "offsets", "target", "split", ...)
    metas        {(name, iteration, key): value}, for instance ("Normal_A", 250, "test_acc")
    alpha, beta, grad
                 {(name, iteration): float32 array}, all rows end to end; a pair is absent where
                 nothing was computed
    checkpoints  {(name, iteration): fingerprint of the file that was evaluated}

While an evaluation runs, each checkpoint's columns are a file of their own in
``outputs/<dataset>_logs.parts/``; they are gathered at the end. So an interrupted evaluation
loses nothing, and one that is run again reads only checkpoints that are new or have changed.
"""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.training.checkpoints import Evaluated

COLUMNS = ("alpha", "beta", "grad")


def dump_path(outputs_dir: Path, dataset: str) -> Path:
    return outputs_dir / f"{dataset}_logs.pkl"


def load_dump(outputs_dir: Path, dataset: str) -> dict[str, Any]:
    """Read a dataset's dump.

    Raises
    ------
    InputError
        where it is missing, damaged, or not a dump.
    """
    path = dump_path(outputs_dir, dataset)
    make = f'run "python eval_dump.py --dataset {dataset}"'
    dump = storage.load_pickle(path, make)
    needed = {"dataset", "vocab", "sentences", "metas", "checkpoints", *COLUMNS}
    if not isinstance(dump, dict) or not needed <= dump.keys():
        raise InputError(f"{path} is not a dump of this version: {make}")
    return dump


def evaluate_missing(
    path: Path,
    header: dict[str, Any],
    evaluated: list[Evaluated],
    checkpoints: list[Path],
    evaluate: Callable[[Evaluated, Path], dict[str, Any]],
    needed: Iterable[str] = (),
) -> int:
    """Evaluate the checkpoints that the dump at ``path`` lacks, and write it.

    Parameters
    ----------
    header : ``dataset``, ``vocab`` and ``sentences``; what an older dump holds for other
        sentences is not used
    evaluated, checkpoints : the entries of the configuration, and the file of each
    evaluate : gives an entry's columns, ``{"alpha": …, "beta": …, "grad": … or None,
        "metas": {key: value}}``
    needed : keys of the metas; what was evaluated before without them is evaluated again

    Returns
    -------
    int, how many were evaluated now
    """
    sentences = [np.ascontiguousarray(column) for column in header["sentences"].values()]
    context = storage.digest(
        "\n".join(header["vocab"]).encode(errors="surrogatepass"), *map(bytes, sentences)
    )
    fingerprints = {
        (entry.name, entry.iteration): storage.digest(
            file, f"{context} {entry.calculate_grad}".encode()
        )
        for entry, file in zip(evaluated, checkpoints)
    }
    old = _load_if_usable(path, header["dataset"])
    done = {
        key
        for key, fingerprint in (old or {"checkpoints": {}})["checkpoints"].items()
        if fingerprint == fingerprints.get(key)
        and all((*key, meta) in old["metas"] for meta in needed)
    }
    if old and done == old["checkpoints"].keys() == fingerprints.keys():
        return 0

    parts = path.with_suffix(".parts")
    todo, files = [], {}
    for entry, file in zip(evaluated, checkpoints):
        key = (entry.name, entry.iteration)
        if key in done:
            continue
        files[key] = parts / f"{entry.name}-{entry.iteration}.pkl"
        if not _is_part(files[key], fingerprints[key], needed):
            todo.append((entry, file))
    for entry, file in cli.progress_bar(todo, unit="checkpoint"):
        key = (entry.name, entry.iteration)
        part = {"fingerprint": fingerprints[key], **evaluate(entry, file)}
        for column in COLUMNS:
            if part[column] is not None and not np.isfinite(part[column]).all():
                raise InputError(f"{file} gives a {column} that is not a number: train it again")
        storage.save_pickle(part, files[key])

    dump = {**header, "metas": {}, "checkpoints": fingerprints}
    dump |= {column: {} for column in COLUMNS}
    for key in fingerprints:
        part = storage.load_pickle(files[key], "") if key in files else _part(old, key)
        for column in COLUMNS:
            if part[column] is not None:
                dump[column][key] = part[column]
        dump["metas"] |= {(*key, meta): value for meta, value in part["metas"].items()}
    storage.save_pickle(dump, path)
    shutil.rmtree(parts, ignore_errors=True)
    return len(todo)


def _part(dump: dict[str, Any], key: tuple[str, int]) -> dict[str, Any]:
    """What a dump holds of one checkpoint, in the form that ``evaluate`` gives."""
    metas = {meta[2]: value for meta, value in dump["metas"].items() if meta[:2] == key}
    return {"metas": metas} | {column: dump[column].get(key) for column in COLUMNS}


def _load_if_usable(path: Path, dataset: str) -> dict[str, Any] | None:
    """An older dump; None where there is none, or (said in a line) it cannot be read."""
    if not path.exists():
        return None
    try:
        return load_dump(path.parent, dataset)
    except InputError as error:
        print(f"{error}; now everything is evaluated anew")
        return None


def _is_part(path: Path, fingerprint: str, needed: Iterable[str]) -> bool:
    """Whether an interrupted evaluation left in ``path`` what is to be evaluated."""
    try:
        part = storage.load_pickle(path, "")
        return part["fingerprint"] == fingerprint and all(key in part["metas"] for key in needed)
    except (InputError, KeyError, TypeError):
        return False
