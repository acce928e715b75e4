"""What an evaluation found: the columns of ``outputs/<dataset>_logs.pkl``.

A dump is one dict of plain containers and numpy arrays::

    id           changes with the contents; results record which dump they come from
    dataset      str
    settings     what the dump was made with: the model's sizes and version, the columns and their
                 versions, the number of sentences of each split, a digest of the data
    vocab        the model's words, in the order of their tokens
    labels       in classification, the names of label 0, of label 1, ...
    sentences    the evaluated sentences, once: the columns that the task gives
                 ("tokens", "offsets", "target", "split", ...)
    metas        {(name, iteration, key): value}, for instance ("Normal_A", 250, "test_acc")
    alpha, beta, grad, ...
                 {(name, iteration): float32 array}, all rows end to end; a pair is absent where
                 nothing was computed
    score        {(name, iteration): float32 (sentences, K)}: with more than two labels their
                 logits; of two, the logit of label 1 is the sum of alpha * beta
    checkpoints  {(name, iteration): fingerprint of the file that was evaluated}

While an evaluation runs, each checkpoint's columns are a file of their own in
``outputs/<dataset>_logs.parts/``; they are gathered at the end. So an interrupted evaluation
loses nothing, and one that is run again reads only checkpoints that are new or have changed.
Processes side by side can write the files of different runs (``--parts_only``); one more gathers.
"""

import json
import pickletools
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis.evidence import SCORE
from attention_dynamics.cli import InputError
from attention_dynamics.files import locks, storage
from attention_dynamics.files.forms import Each, array, fits, number, offsets
from attention_dynamics.training.checkpoints import CheckpointSpec
from attention_dynamics.training.engine import check_settings

FORM = {
    "id": str,
    "dataset": str,
    "settings": {"columns": Each(str, int)},
    "vocab": [str],
    "sentences": Each(str, array("iU")),
    "metas": Each((str, int, str), number),
    "checkpoints": Each((str, int), str),
}


def dump_path(outputs_dir: Path, dataset: str) -> Path:
    return outputs_dir / f"{dataset}_logs.pkl"


def hold(path: Path, runs: list[str] | None, parts_only: bool, wait: bool) -> None:
    """Hold the lock of a dump, or of the files of some of its runs, until the script ends."""
    part = path.with_suffix(".parts") / "+".join(runs or ["all"])
    locks.hold(part if parts_only else path, wait)


def load_dump(outputs_dir: Path, dataset: str) -> dict[str, Any]:
    """Read a dataset's dump.

    Raises
    ------
    InputError
        if it is missing, damaged, or not a dump.
    """
    path = dump_path(outputs_dir, dataset)
    make = f'run "python eval_dump.py --dataset {dataset}"'
    return _checked(storage.load_pickle(path, make), path, make)


def token_columns(dump: dict[str, Any]) -> list[str]:
    """The columns with a value for each token, or pair of tokens: all but ``SCORE``."""
    return [name for name in dump["settings"]["columns"] if name != SCORE]


def _checked(dump: Any, path: Path, do: str) -> dict[str, Any]:
    if not fits(dump, FORM) or not {*dump["settings"]["columns"]} <= dump.keys():
        raise InputError(f"{path} is not a dump of this version: {do}")
    columns = [dump[name] for name in token_columns(dump)]
    sentences, n_words = dump["sentences"], len(dump["vocab"])
    labels = dump.get("labels", ["0", "1"])
    gold = sentences.get("target") if "tokens" in sentences else None
    tokens = ["tokens"] if "tokens" in sentences else ["source", "target"]
    whole = (
        fits(columns, [Each((str, int), array("f"))])
        and fits(labels, [str])
        and all(len(sentences.get(name, ())) for name in tokens)
        and (gold is None or (len(gold) and 0 <= gold.min() <= gold.max() < len(labels)))
        and fits(dump.get(SCORE, {}), Each((str, int), array("f", 2)))
        and len({len(values) for column in columns for values in column.values()}) <= 1
        and all(offsets(rows) for name, rows in sentences.items() if name.endswith("offsets"))
        and all(0 <= sentences[name].min() <= sentences[name].max() < n_words for name in tokens)
    )
    if not whole:
        raise InputError(f"{path} is damaged: {do}")
    return dump


def dump_id(path: Path) -> str | None:
    """The ``id`` of the dump at ``path``, without reading the rest; None if there is none."""
    strings = []
    try:
        with open(path, "rb") as file:
            for _, argument, _ in pickletools.genops(file):
                if isinstance(argument, str):
                    strings.append(argument)
                if len(strings) == 2:
                    break
    except (OSError, ValueError):
        return None
    return strings[1] if strings[:1] == ["id"] and len(strings) == 2 else None


def evaluate_missing(
    path: Path,
    header: dict[str, Any],
    evaluated: list[CheckpointSpec],
    checkpoints: list[Path],
    evaluate: Callable[[CheckpointSpec, Path], dict[str, Any]],
    needed: Iterable[str] = (),
    parts_only: bool = False,
) -> int:
    """Evaluate the checkpoints that the dump at ``path`` lacks, and write it.

    Checkpoints of the dump that are not among ``evaluated`` stay in it.

    Parameters
    ----------
    header : ``dataset``, ``settings``, ``vocab`` and ``sentences``
    evaluated, checkpoints : the entries of the list, and the file of each
    evaluate : gives an entry's columns, and its metas: ``{"alpha": ..., "grad": ... or None,
        "metas": {key: value}}``
    needed : keys of the metas; a checkpoint that was evaluated without them is evaluated again
    parts_only : leave the files of the checkpoints for a later call to gather

    Returns
    -------
    int, how many were evaluated now

    Raises
    ------
    InputError
        if ``path`` holds a dump of other settings, or a damaged one.
    """
    do = "delete it or choose another --outputs_dir"
    columns, old = header["settings"]["columns"], {}
    if path.exists():
        old = _checked(storage.load_pickle(path, do), path, do)
        check_settings(old["settings"], header["settings"], path, do)
    context = json.dumps(header["settings"], sort_keys=True)
    fingerprints = {
        (entry.name, entry.iteration): storage.digest(
            file, f"{context} {entry.calculate_grad}".encode()
        )
        for entry, file in zip(evaluated, checkpoints)
    }
    before = old["checkpoints"] if old else {}
    others = before.keys() - fingerprints.keys()
    done = others | {
        key
        for key in before.keys() & fingerprints.keys()
        if before[key] == fingerprints[key] and all((*key, meta) in old["metas"] for meta in needed)
    }
    if others:
        print(f"{path}: {len(others)} checkpoints that are not in the list stay in it")
    parts = path.with_suffix(".parts")
    if fingerprints.keys() <= done:
        if not parts_only:
            shutil.rmtree(parts, ignore_errors=True)  # an evaluation was killed before it did
        return 0

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
        for column in columns:
            if part[column] is not None and not np.isfinite(part[column]).all():
                raise InputError(f"{file} gives a {column} that is not a number: train it again")
        storage.save_pickle(part, files[key])
    if parts_only:
        return len(todo)

    fingerprints |= {key: before[key] for key in before if key in others}
    dump = {"id": "", **header, "metas": {}, "checkpoints": fingerprints}
    dump |= {column: {} for column in columns}
    for key in fingerprints:
        part = storage.load_pickle(files[key], "") if key in files else _part(old, key, columns)
        for column in columns:
            if part[column] is not None:
                dump[column][key] = part[column]
        dump["metas"] |= {(*key, meta): value for meta, value in part["metas"].items()}
    dump["id"] = storage.digest(repr([fingerprints, dump["metas"]]).encode())
    storage.save_pickle(dump, path)
    shutil.rmtree(parts, ignore_errors=True)
    if changed := before.keys() - done:
        print(f"{path}: {len(changed)} checkpoints were not as before: evaluated again")
    return len(todo)


def _part(dump: dict[str, Any], key: tuple[str, int], columns: Iterable[str]) -> dict[str, Any]:
    """What a dump holds of one checkpoint, in the form that ``evaluate`` gives."""
    metas = {meta[2]: value for meta, value in dump["metas"].items() if meta[:2] == key}
    return {"metas": metas} | {column: dump[column].get(key) for column in columns}


def _is_part(path: Path, fingerprint: str, needed: Iterable[str]) -> bool:
    """Whether an interrupted evaluation left in ``path`` what is to be evaluated."""
    try:
        part = storage.load_pickle(path, "")
        return part["fingerprint"] == fingerprint and all(key in part["metas"] for key in needed)
    except (InputError, KeyError, TypeError):
        return False
