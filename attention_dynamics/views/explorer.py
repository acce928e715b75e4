"""One self-contained page to look at training with, from a dump: what both ``explore.py`` do.

The page is ``explorer.html`` with the data put in. All that is computed from the dump (agreements,
predictions) is computed here, in full precision, from the functions that the paper's tables come
from; the page only shows. The columns themselves go into it rounded (:func:`quantize`),
compressed, one ``<script>`` element for each run and column, decoded when they are looked at.
"""

import argparse
import base64
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis.dump import dump_path, load_dump
from attention_dynamics.analysis.evidence import Evidence, RunNames
from attention_dynamics.analysis.metrics import METRICS
from attention_dynamics.analysis.metrics.rows import mean_agreement
from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.analysis.sentences import Sentences
from attention_dynamics.analysis.task import Task
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import add_dataset
from attention_dynamics.files import storage
from attention_dynamics.training import word_baseline

TEMPLATE = Path(__file__).with_name("explorer.html")
DATA_HERE = "<!-- data -->"  # in the template
LIMIT = 20_000_000  # bytes of a page, at most
WIDTHS = {16: "<i2", 8: "i1"}  # bits of a value: the second where a page gets too large


def parser(description: str, script: str, task: Task) -> cli.Parser:
    """The flags that both scripts have."""
    parser = cli.Parser(description)
    add_dataset(parser, task.datasets)
    parser.add_argument(
        "--out_file", type=Path, help="page to write (default: outputs/<dataset>_explorer.html)"
    )
    parser.add_argument(
        "--sentences",
        type=cli.positive_int,
        default=200,
        help="show at most this many sentences (fewer if the page would exceed 20 MB)",
    )
    parser.add_argument("--seed", type=cli.seed, default=1, help="seed of the draw of sentences")
    parser.add_argument(
        "--split", choices=["val", "train"], default="val", help="draw them from this split"
    )
    parser.add_argument(
        "--runs", nargs="+", metavar="NAME", help="such as Normal_A uniform (default: all)"
    )
    parser.add_argument(
        "--embed_dim", type=cli.positive_int, default=256, help="dimension of the word baseline"
    )
    cli.add_folders(parser, script, "outputs")
    return parser


def explore(args: argparse.Namespace, task: Task) -> None:
    """Write the page of a dataset, as the flags of :func:`parser` ask for."""
    dump = load_dump(args.outputs_dir, args.dataset)
    where = str(dump_path(args.outputs_dir, args.dataset))
    runs = RunNames.of(set(dump["alpha"]), where)
    names = _chosen(args.runs, runs)
    betas = _betas(args, task, dump)
    performances = task.performances[args.split]
    evidence = task.evidence_of(dump, betas, args.split, performances[0])
    every_sentence = task.sentences_of(dump)
    sentences = every_sentence.take(every_sentence.rows_of(args.split))
    columns = {name: column for name, column in task.columns.items() if name in dump}
    lengths = {len(values) for name in columns for values in dump[name].values()}
    if lengths != {every_sentence.entries[-1]}:
        raise InputError(
            f"{where} is damaged, its columns differ in length: delete it and run "
            f'"python eval_dump.py --dataset {dump["dataset"]}"'
        )

    agreements = _agreements(runs, names, evidence, sentences)
    right = None if sentences.labels is None else _right(runs, names, evidence, sentences.labels)
    facts = {
        "dataset": args.dataset,
        "split": args.split,
        "split_size": len(sentences),
        "task": task.name,
        "labels": dump.get("labels", ["0", "1"]),
        "iterations": runs.iterations,
        "runs": [{"name": name, "uniform": name == runs.uniform} for name in names],
        "gold": {"run": runs.gold, "iteration": evidence.gold_iteration(runs)},
        "performance": _performance(dump, performances, names, runs.iterations),
        "columns": [
            {"name": name, "sign": column.symbol, "compared": column.compared}
            for name, column in columns.items()
        ],
        "metrics": [
            {
                "name": metric,
                "help": METRICS[metric].help,
                "binary": found.binary,
                "level": found.level,
                "chance": found.chance,
                "means": found.means,
            }
            for metric, found in agreements.items()
        ],
    }

    def page_of(rows: np.ndarray, bits: int) -> bytes:
        """The page that shows these sentences, with values of so many bits."""
        rows = np.sort(rows)
        scales, arrays = _columns(runs, names, evidence, sentences, list(columns), rows, bits)
        for number, found in enumerate(agreements.values()):
            for against, values in found.values.items():
                arrays[f"agreement-{number}-{against}"] = _thousandths(values[:, :, rows])
        if right is not None:
            arrays["right"] = right[:, :, rows].astype(np.int8)
        shown = [_shown(sentences, dump["vocab"], row, task) for row in rows]
        return _fill(facts | {"bits": bits, "scales": scales, "sentences": shown}, arrays)

    rows = np.random.default_rng(args.seed).permutation(len(sentences))[: args.sentences]
    for bits in WIDTHS:
        page = page_of(rows, bits)
        if len(page) <= LIMIT:
            break
    while len(page) > LIMIT and len(rows) > 1:
        rows = rows[: max(1, int(0.95 * len(rows) * LIMIT / len(page)))]
        page = page_of(rows, bits)
    out_file = args.out_file or args.outputs_dir / f"{args.dataset}_explorer.html"
    storage.save_bytes(page, out_file)
    print(
        f"{out_file}: {len(rows)} of {len(sentences)} sentences, {len(names)} runs, "
        f"{len(runs.iterations)} iterations, {len(page) / 1e6:.1f} MB"
    )


def quantize(values: np.ndarray, bits: int) -> tuple[np.ndarray, float]:
    """Round ``values`` to whole numbers ``q`` of so many bits, more finely near 0.

    ``values ≈ sign(q) * (q / m)**2 * scale`` with ``m = 2**(bits - 1) - 1``. The error is at most
    ``scale * (r / m + 1 / (4 * m**2))`` with ``r = sqrt(|value| / scale)``. Most of α and Δ is
    near 0, and the page is to tell 0.001 from 0.002.

    Returns
    -------
    integers of the shape of ``values``, and the scale: the largest ``|value|``
    """
    scale = float(np.abs(values).max(initial=0))
    m = 2 ** (bits - 1) - 1
    roots = np.sqrt(np.abs(values, dtype=np.float64) / (scale or 1.0))
    return np.rint(np.copysign(roots * m, values)).astype(WIDTHS[bits]), scale


def _chosen(asked: list[str] | None, runs: RunNames) -> list[str]:
    """The names of the runs to show; case is ignored in names."""
    known = [runs.gold, *runs.comparisons, runs.uniform]
    by_lower = {name.lower(): name for name in known}
    for name in asked or []:
        if name.lower() not in by_lower:
            raise InputError(f"--runs: there is no run {name} (there are {', '.join(known)})")
    wanted = known if asked is None else [by_lower[name.lower()] for name in asked]
    return [name for name in known if name in wanted]


def _betas(args: argparse.Namespace, task: Task, dump: dict[str, Any]) -> dict[str, np.ndarray]:
    """The word baseline; none, said in a line, if it has not been fitted."""
    path = task.beta_path(args.outputs_dir, args.dataset, args.embed_dim)
    make = f'run "python embedding_beta.py --dataset {args.dataset} --embed_dim {args.embed_dim}"'
    if not path.exists():
        print(f"{path} is missing, so the page has no β^px: {make}, then this again")
        return {}
    return {"px": word_baseline.load_baseline(path, dump["vocab"], make)["beta"]}


@dataclass(frozen=True)
class _Agreement:
    """One metric over training, against the gold attention and against the uniform model.

    ``"gold"`` is A(α of the gold checkpoint, α), ``"uniform"`` is A(α, β^uf), both at the same
    iteration. Uniform attention ranks no word before another; so of the uniform run ``"gold"``
    is not defined, and ``"uniform"`` is A(α of the gold checkpoint, β^uf).
    """

    values: dict[str, np.ndarray]  # (runs, iterations, sentences), means over distributions
    means: dict[str, list]  # (runs, iterations) over the whole split; None where not defined
    level: float | None  # A(α, β^uf) of the tables
    chance: float  # the expected value if attention is shuffled
    binary: bool  # a match or none


def _agreements(
    runs: RunNames, names: list[str], evidence: Evidence, sentences: Sentences
) -> dict[str, _Agreement]:
    """The agreements of each metric."""
    iterations, offsets = runs.iterations, evidence.offsets
    starts = offsets_of(sentences.distributions)[:-1]  # of each sentence's distributions
    gold_alpha = evidence.column("alpha", runs.gold, evidence.gold_iteration(runs))
    found = {}
    bar = cli.progress_bar(None, total=len(METRICS) * len(names), unit="run")
    for metric in METRICS.values():
        shape = (len(names), len(iterations))
        values = {
            against: np.full((*shape, len(starts)), np.nan) for against in ("gold", "uniform")
        }
        means = {against: np.full(shape, np.nan) for against in values}
        of_uniform = (evidence.column("beta", runs.uniform, it) for it in iterations)
        levels = [mean_agreement(metric.match(gold_alpha, beta, offsets)) for beta in of_uniform]
        for run, name in enumerate(names):
            for at, it in enumerate(iterations):
                alpha = gold_alpha if name == runs.uniform else evidence.column("alpha", name, it)
                pairs = {"uniform": (alpha, evidence.column("beta", runs.uniform, it))}
                if name != runs.uniform:
                    pairs["gold"] = (gold_alpha, alpha)
                for against, (u, v) in pairs.items():
                    agreement = metric.match(u, v, offsets)
                    values[against][run, at] = _mean_by_sentence(agreement.astype(float), starts)
                    means[against][run, at] = mean_agreement(agreement)
            bar.update()
        found[metric.name] = _Agreement(
            values,
            {against: _numbers(mean) for against, mean in means.items()},
            level=float(np.nanmax(levels)) if not np.isnan(levels).all() else None,
            chance=metric.chance(np.diff(offsets)),
            binary=agreement.dtype == bool,
        )
    bar.close()
    return found


def _mean_by_sentence(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The mean over each sentence's distributions, leaving out NaN: (sentences,)."""
    defined = ~np.isnan(values)
    sums = np.add.reduceat(np.where(defined, values, 0.0), starts)
    with np.errstate(invalid="ignore"):
        return sums / np.add.reduceat(defined.astype(np.float64), starts)


def _right(runs: RunNames, names: list[str], evidence: Evidence, labels: np.ndarray) -> np.ndarray:
    """Whether the label has the highest score: bool (runs, iterations, rows)."""
    assert evidence.scores is not None
    right = np.empty((len(names), len(runs.iterations), len(labels)), dtype=bool)
    for run, name in enumerate(names):
        for at, it in enumerate(runs.iterations):
            right[run, at] = evidence.scores(name, it).argmax(axis=1) == labels
    return right


def _performance(
    dump: dict[str, Any], keys: list[str], names: list[str], iterations: list[int]
) -> dict[str, list]:
    """{key: (runs, iterations)} of the keys that the dump has; None where it lacks a value."""
    present = {key for _, _, key in dump["metas"]}
    return {
        key: [[dump["metas"].get((name, it, key)) for it in iterations] for name in names]
        for key in keys
        if key in present
    }


def _columns(
    runs: RunNames,
    names: list[str],
    evidence: Evidence,
    sentences: Sentences,
    columns: list[str],
    rows: np.ndarray,
    bits: int,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The columns at the entries of some sentences, quantized.

    Returns
    -------
    scales : {column: (runs, iterations)}, None if there is nothing; of β^px one number
    arrays : {"<column>-<run>": (iterations, entries), "beta_px": (entries,)}
    """
    entries = Ragged(np.empty(0), sentences.entries).indices(rows)
    scales: dict[str, Any] = {column: [[] for _ in names] for column in columns}
    arrays = {}
    for column in columns:
        for run, name in enumerate(names):
            found = np.zeros((len(runs.iterations), len(entries)), dtype=WIDTHS[bits])
            for at, it in enumerate(runs.iterations):
                values = evidence.column(column, name, it)
                scale = None
                if values is not None:
                    found[at], scale = quantize(values[entries], bits)
                scales[column][run].append(scale)
            if any(scale is not None for scale in scales[column][run]):
                arrays[f"{column}-{run}"] = found
    if "px" in evidence.words:
        arrays["beta_px"], scales["beta_px"] = quantize(evidence.words["px"][entries], bits)
    return scales, arrays


def _shown(sentences: Sentences, vocab: list[str], row: int, task: Task) -> dict[str, Any]:
    """A sentence as the page shows it."""
    source, text = task.show([vocab[token] for token in sentences.source[row]])
    shown = {"position": int(row), "source": source, "text": text}
    if sentences.target is not None:
        target, translation = task.show([vocab[token] for token in sentences.target[row]])
        shown |= {"target": target, "translation": translation}
    if sentences.labels is not None:
        shown["label"] = int(sentences.labels[row])
    return shown


def _thousandths(values: np.ndarray) -> np.ndarray:
    """Agreements as int16, in thousandths; -32768 stands for NaN."""
    return np.where(np.isnan(values), -32768, np.rint(np.nan_to_num(values) * 1000)).astype("<i2")


def _numbers(values: np.ndarray) -> list:
    """Lists of numbers, None for NaN, which JSON has not."""
    return [
        [None if np.isnan(value) else round(float(value), 6) for value in row] for row in values
    ]


def _fill(data: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """The page, from its template.

    A word of the data may look like HTML: in JSON ``<`` can be written as ``\\u003c``, and nothing
    else ends a script element. The page puts words into it as text, never as HTML.
    """
    scripts = {"page-data": ("application/json", json.dumps(data).replace("<", "\\u003c"))}
    for name, array in arrays.items():
        content = base64.b64encode(zlib.compress(array.tobytes())).decode()
        scripts[name] = ("text/plain", content)
    elements = [
        f'<script type="{kind}" id="{name}">{content}</script>'
        for name, (kind, content) in scripts.items()
    ]
    return TEMPLATE.read_text("utf-8").replace(DATA_HERE, "\n".join(elements), 1).encode()
