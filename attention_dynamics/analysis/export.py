"""A dump and its curves in formats that other programs read: what both ``export.py`` do.

Numbers are written as the shortest decimals that give the dump's float32 again, or as they are;
a file is written a checkpoint or a sentence at a time. ``docs/files.md`` describes each format.
"""

import argparse
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis import tables
from attention_dynamics.analysis.dump import load_dump, token_columns
from attention_dynamics.analysis.pieces import whole_words
from attention_dynamics.analysis.sentences import Sentences
from attention_dynamics.analysis.task import Task
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import add_dataset
from attention_dynamics.files import storage
from attention_dynamics.text import written_out

Key = tuple[str, int]  # of a checkpoint: run, iteration


@dataclass(frozen=True)
class Selection:
    """The part of a dump that is exported.

    Attributes
    ----------
    sentences, vocab : the sentences, whose tokens are numbers of ``vocab``
    numbers : int (sentences,), their numbers in the dump, as figures and the explorer name them
    keys : the checkpoints, run by run
    names : of the columns
    column : of (name, key): float32 (entries,); None if it was not computed
    metas : of each checkpoint: performances by name
    """

    sentences: Sentences
    vocab: list[str]
    numbers: np.ndarray
    keys: list[Key]
    names: list[str]
    column: Callable[[str, Key], np.ndarray | None]
    metas: dict[Key, dict[str, Any]]

    def columns(self, key: Key) -> dict[str, np.ndarray]:
        """Those that a checkpoint has."""
        found = {name: self.column(name, key) for name in self.names}
        return {name: values for name, values in found.items() if values is not None}

    def tokens(self, sentence: int) -> tuple[list[str], list[str] | None]:
        """The source tokens, and in translation the predicted ones."""
        source = [self.vocab[token] for token in self.sentences.source[sentence]]
        if self.sentences.target is None:
            return source, None
        return source, [self.vocab[token] for token in self.sentences.target[sentence]]

    def facts(self, sentence: int) -> dict[str, Any]:
        """What is said of a sentence beside its tokens."""
        facts = {
            "sentence": int(self.numbers[sentence]),
            "split": str(self.sentences.splits[sentence]),
        }
        if self.sentences.labels is not None:
            label = int(self.sentences.labels[sentence])
            facts |= {"label": label, "label_name": self.sentences.label_names[label]}
        return facts

    def rows(self, sentence: int) -> Iterator[tuple]:
        """The rows of a table of tokens, or of pairs of tokens, in the order of the columns."""
        source, target = self.tokens(sentence)
        facts = tuple(self.facts(sentence).values())
        if target is None:
            return ((*facts, at, token) for at, token in enumerate(source))
        return (
            (*facts, at_target, predicted, at, token)
            for at_target, predicted in enumerate(target)
            for at, token in enumerate(source)
        )

    @property
    def header(self) -> list[str]:
        """The names of the columns of :meth:`rows`."""
        if self.sentences.target is None:
            return ["sentence", "split", "label", "label_name", "position", "token"]
        return ["sentence", "split", "target_position", "target", "source_position", "source"]


def parser(description: str, script: str, task: Task) -> cli.Parser:
    """The flags that both scripts have."""
    parser = cli.Parser(description)
    add_dataset(parser, task.datasets)
    parser.add_argument(
        "--format", nargs="+", choices=list(FORMATS), default=["csv"], help="formats to write"
    )
    parser.add_argument(
        "--runs", nargs="+", metavar="NAME", help="such as Normal_A uniform (default: all)"
    )
    parser.add_argument("--iterations", type=cli.steps, help="checkpoints (default: all)")
    parser.add_argument(
        "--split", choices=list(task.performances), help="these sentences alone (default: all)"
    )
    if task.begins_word:
        parser.add_argument(
            "--words",
            action="store_true",
            help="whole words in place of pieces: alpha and Delta are summed over the pieces of a "
            "source word, beta is averaged (docs/files.md has the reasons)",
        )
    parser.add_argument(
        "--stats", type=Path, help="pickle of the collected results (default: outputs/stats.pkl)"
    )
    parser.add_argument(
        "--out_dir", type=Path, help="folder of the files (default: outputs/<dataset>_export)"
    )
    cli.add_folders(parser, script, "outputs")
    return parser


def export(args: argparse.Namespace, task: Task) -> None:
    """Write what the flags of :func:`parser` ask for.

    Raises
    ------
    InputError
        if the dump is missing, or lacks what is asked for. Nothing is written then.
    """
    if "parquet" in args.format:
        _pyarrow()  # refused before the work
    stats = args.stats or args.outputs_dir / "stats.pkl"
    results = {}
    if stats.exists() or args.stats:
        results = tables.load_results(stats, f"run {task.collect_script} first")
        results = {key: summary for key, summary in results.items() if key[0] == args.dataset}
    dump = load_dump(args.outputs_dir, args.dataset)
    selection = select(
        task, dump, args.runs, args.iterations, args.split, vars(args).get("words", False)
    )
    out_dir = args.out_dir or args.outputs_dir / f"{args.dataset}_export"
    for name in args.format:
        file_name, write = FORMATS[name]
        write(selection, out_dir / file_name)
        print(out_dir / file_name)
    write_performances(selection, out_dir / "checkpoints.csv")
    print(out_dir / "checkpoints.csv")
    if not results:
        print(f"no curves: {stats} has no results of {args.dataset}: run {task.collect_script}")
        return
    if any(summary.get("dump") != dump["id"] for summary in results.values()):
        print(f"{stats}: results of another dump: run {task.collect_script} again", file=sys.stderr)
    storage.save_text(tables.curves_csv(results), out_dir / "curves.csv")
    storage.save_text(tables.csv_table(results, task.levels) + "\n", out_dir / "levels.csv")
    print(f"{out_dir / 'curves.csv'}\n{out_dir / 'levels.csv'}")


def select(
    task: Task,
    dump: dict[str, Any],
    runs: list[str] | None = None,
    iterations: list[int] | None = None,
    split: str | None = None,
    words: bool = False,
) -> Selection:
    """The part of a dump to export; None stands for all.

    Parameters
    ----------
    words : whole words in place of pieces: see :func:`whole_words`

    Raises
    ------
    InputError
        if the dump lacks a run, an iteration or the split.
    """
    known = list(dict.fromkeys(name for name, _ in dump["alpha"]))
    evaluated = sorted({it for _, it in dump["alpha"]})
    chosen = known if runs is None else cli.chosen_runs(runs, known)
    for iteration in iterations or []:
        if iteration not in evaluated:
            raise InputError(
                f"--iterations: {iteration} was not evaluated; these were: "
                f"{','.join(map(str, evaluated))}"
            )
    keys = [
        (run, it)
        for run in chosen
        for it in evaluated
        if (run, it) in dump["alpha"] and (iterations is None or it in iterations)
    ]
    if not keys:
        raise InputError("no checkpoint has both one of --runs and one of --iterations")
    sentences, vocab = task.sentences_of(dump), dump["vocab"]
    rows = slice(0, len(sentences)) if split is None else sentences.rows_of(split)
    if rows.start == rows.stop:
        raise InputError(f"--split {split}: the dump of {dump['dataset']} has no such sentences")
    entries = slice(*sentences.entries[[rows.start, rows.stop]])
    sentences = sentences.take(rows)
    combine = None
    if words and task.begins_word:
        sentences, vocab, combine = whole_words(sentences, vocab, task.begins_word)

    def column(name: str, key: Key) -> np.ndarray | None:
        values = dump[name].get(key)
        if values is None:
            return None
        return combine(name, values[entries]) if combine else values[entries]

    metas: dict[Key, dict[str, Any]] = {key: {} for key in keys}
    for (run, iteration, meta), value in dump["metas"].items():
        if (run, iteration) in metas:
            metas[run, iteration][meta] = value
    return Selection(
        sentences=sentences,
        vocab=vocab,
        numbers=np.arange(rows.start, rows.stop),
        keys=keys,
        names=token_columns(dump),
        column=column,
        metas=metas,
    )


def shortest(values: np.ndarray) -> np.ndarray:
    """float32 as the float64 with the shortest decimals that give it again: 0.1, not
    0.10000000149011612.
    """
    return values.astype(str).astype(np.float64)


def write_csv(selection: Selection, path: Path) -> None:
    """A row for each token, or pair of tokens, of each checkpoint."""

    def rows() -> Iterator[tuple]:
        entries = selection.sentences.entries.tolist()
        for key in cli.progress_bar(selection.keys, unit="checkpoint"):
            columns = selection.columns(key)
            for sentence in range(len(selection.sentences)):
                at = slice(entries[sentence], entries[sentence + 1])
                values = [
                    shortest(columns[name][at]).tolist() if name in columns else repeat(None)
                    for name in selection.names
                ]
                for fixed, *numbers in zip(selection.rows(sentence), *values):
                    yield *key, *fixed, *numbers

    storage.save_csv(["run", "iteration", *selection.header, *selection.names], rows(), path)


def write_parquet(selection: Selection, path: Path) -> None:
    """The columns of :func:`write_csv`, a group of rows for each checkpoint."""
    pyarrow = _pyarrow()
    fixed = zip(*(row for i in range(len(selection.sentences)) for row in selection.rows(i)))
    fixed_columns = {
        name: pyarrow.array(map(written_out, values)).dictionary_encode()
        if isinstance(values[0], str)
        else pyarrow.array(values)
        for name, values in zip(selection.header, fixed)
    }
    n_entries = int(selection.sentences.entries[-1])
    none = pyarrow.nulls(n_entries, pyarrow.float32())

    def table(key: Key) -> Any:
        run, iteration = key
        columns = selection.columns(key)
        return pyarrow.table(
            {
                "run": pyarrow.array([run]).dictionary_encode().take([0] * n_entries),
                "iteration": np.full(n_entries, iteration),
                **fixed_columns,
                **{name: columns.get(name, none) for name in selection.names},
            }
        )

    schema = table(selection.keys[0]).schema
    with storage.atomic_write(path) as file, pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for key in cli.progress_bar(selection.keys, unit="checkpoint"):
            writer.write_table(table(key))


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise InputError(
            '--format parquet needs pyarrow: run "pip install pyarrow", or choose another format'
        ) from None
    return pyarrow


class _Stream(io.RawIOBase):
    """A file to append to: without places in it, zipfile writes each entry once and never goes
    back, which a file opened for appending does not allow.
    """

    def __init__(self, file: BinaryIO):
        self.file = file

    def write(self, content: Any) -> int:
        return self.file.write(content)


def write_npz(selection: Selection, path: Path) -> None:
    """Arrays by name, for ``numpy.load``: ``alpha/Normal_A/250`` and so on, and the sentences."""
    sentences = selection.sentences
    arrays = {
        "vocab": np.array(selection.vocab),
        "sentence": selection.numbers,
        "split": sentences.splits,
        "source": sentences.source.values,
        "source_offsets": sentences.source.offsets,
        "entries": sentences.entries,
    }
    if sentences.target is not None:
        arrays |= {"target": sentences.target.values, "target_offsets": sentences.target.offsets}
    if sentences.labels is not None:
        arrays |= {"label": sentences.labels, "label_names": np.array(sentences.label_names)}
    with (
        storage.atomic_write(path) as file,
        zipfile.ZipFile(cast(BinaryIO, _Stream(file)), "w", zipfile.ZIP_DEFLATED) as archive,
    ):

        def add(name: str, array: np.ndarray) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)

        for name, array in arrays.items():
            add(name, array)
        for run, iteration in cli.progress_bar(selection.keys, unit="checkpoint"):
            for name, values in selection.columns((run, iteration)).items():
                add(f"{name}/{run}/{iteration}", values)
            for name, value in selection.metas[run, iteration].items():
                add(f"{name}/{run}/{iteration}", np.array(value))


def write_jsonl(selection: Selection, path: Path) -> None:
    """A line for each sentence, with all its checkpoints; translation has a list for each target
    token.
    """
    entries = selection.sentences.entries.tolist()
    columns = {key: selection.columns(key) for key in selection.keys}
    with storage.atomic_write(path) as file:
        for sentence in cli.progress_bar(range(len(entries) - 1), unit="sentence"):
            source, target = selection.tokens(sentence)
            shape = (-1,) if target is None else (len(target), len(source))
            at = slice(entries[sentence], entries[sentence + 1])
            value = selection.facts(sentence) | {"tokens": source}
            if target is not None:
                value["target"] = target
            value["checkpoints"] = [
                {"run": run, "iteration": iteration}
                | {
                    name: shortest(values[at]).reshape(shape).tolist()
                    for name, values in columns[run, iteration].items()
                }
                for run, iteration in selection.keys
            ]
            line = json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
            file.write(line.encode(errors="backslashreplace"))  # as JSON writes it, too


PUBLISHED = {"grad": "gradient"}  # the published names of columns


def write_published(selection: Selection, path: Path) -> None:
    """A dict for each sentence of each checkpoint, in a pickle."""
    entries = selection.sentences.entries.tolist()
    fixed = []  # shared by all checkpoints
    for sentence in range(len(entries) - 1):
        source, target = selection.tokens(sentence)
        facts = selection.facts(sentence)
        label = facts["label"] if target is None else target
        fixed.append({"tokens": source, "label": label, "split": facts["split"]})

    def dicts(key: Key) -> list[dict[str, Any]]:
        columns = selection.columns(key)
        found = []
        for sentence, facts in enumerate(fixed):
            at = slice(entries[sentence], entries[sentence + 1])
            shape = [-1]
            if selection.sentences.target is not None:
                shape = [len(facts["label"]), len(facts["tokens"])]
            # views: the numbers themselves are not copied
            values = {
                PUBLISHED.get(name, name): column[at].reshape(shape)
                for name, column in columns.items()
            }
            found.append(facts | values)
        return found

    metas = {
        (*key, name): value
        for key, of_key in selection.metas.items()
        for name, value in of_key.items()
    }
    data = {key: dicts(key) for key in selection.keys}
    storage.save_pickle({"metas": metas, "data": data}, path)


def write_performances(selection: Selection, path: Path) -> None:
    """A row for each checkpoint: accuracy, loss and so on."""
    names = list(dict.fromkeys(name for of_key in selection.metas.values() for name in of_key))
    rows = (
        (*key, *(of_key.get(name) for name in names)) for key, of_key in selection.metas.items()
    )
    storage.save_csv(["run", "iteration", *names], rows, path)


FORMATS: dict[str, tuple[str, Callable[[Selection, Path], None]]] = {
    "csv": ("tokens.csv", write_csv),
    "parquet": ("tokens.parquet", write_parquet),
    "npz": ("columns.npz", write_npz),
    "jsonl": ("sentences.jsonl", write_jsonl),
    "published": ("published.pkl", write_published),
}
