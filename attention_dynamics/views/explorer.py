"""One self-contained page to look at training with, from a dump: what both ``explore.py`` do.

The page is ``explorer.html`` with the data put in. All that is computed from the dump (agreements,
predictions) is computed here, in full precision, from the functions that the paper's tables come
from; the page only shows. The columns themselves go into it rounded (:func:`quantize`),
compressed, one ``<script>`` element for each run and column, decoded when they are looked at.
"""

import argparse
import base64
import json
import re
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis.dump import dump_path, load_dump
from attention_dynamics.analysis.evidence import Evidence, RunNames, gold_evidence
from attention_dynamics.analysis.metrics import DEFAULT, METRICS
from attention_dynamics.analysis.metrics.metric import Metric
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
LONGEST = 10_000  # tokens of a sentence, at most
WIDTHS = {16: "<i2", 8: "i1"}  # bits of a value: the second where a page gets too large


def parser(description: str, script: str, task: Task) -> cli.Parser:
    """The flags that both scripts have."""
    parser = cli.Parser(description)
    add_dataset(parser, task.datasets)
    parser.add_argument(
        "--out_file", type=Path, help="page to write (default: outputs/<dataset>_explorer.html)"
    )
    parser.add_argument(
        "--split", choices=["val", "train"], default="val", help="show sentences of this split"
    )
    parser.add_argument(
        "--sentences",
        type=cli.positive_int,
        default=200,
        help="show at most this many of them (fewer if the page would exceed 20 MB)",
    )
    parser.add_argument("--seed", type=cli.seed, default=1, help="seed of the draw of sentences")
    parser.add_argument(
        "--text", metavar="PATTERN", help="show sentences that match this regular expression"
    )
    parser.add_argument(
        "--indices",
        type=cli.steps,
        metavar="N,N",
        help="show these sentences, by the numbers that plot_dynamics.py --sentence takes",
    )
    parser.add_argument(
        "--worst",
        nargs="?",
        const=DEFAULT,
        choices=list(METRICS),
        metavar="METRIC",
        help="show the sentences with the lowest agreement of alpha with beta^uf, by METRIC "
        f"({', '.join(METRICS)}; default: the first)".replace("%", "%%"),
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        metavar="NAME",
        help="such as Normal_B (default: all); Normal_A and uniform are always shown",
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
    columns = {name: column for name, column in task.columns.items() if name in dump}

    in_split = every_sentence.rows_of(args.split)
    sentences = every_sentence.take(in_split)
    numbers = np.arange(in_split.start, in_split.stop)  # in the dump, as plot_dynamics.py has them
    fitting = _fitting(sentences, len(names) * len(runs.iterations) * len(columns))
    if left_out := len(numbers) - len(fitting):
        print(f"{left_out} sentences are too long for a page, and left out")
        if not len(fitting):
            raise InputError(f"no sentence of --split {args.split} fits a page")
        evidence = _at(evidence, sentences, fitting)
        sentences, numbers = sentences.take(fitting), numbers[fitting]

    texts = [_shown(sentences, dump["vocab"], row, task) for row in range(len(sentences))]
    candidates = _candidates(args, numbers, texts)
    gold_iteration = evidence.gold_iteration(runs)
    if args.worst is None:
        candidates = np.random.default_rng(args.seed).permutation(candidates)
    else:
        candidates = _worst_first(METRICS[args.worst], runs, evidence, sentences, candidates)
    rows = candidates[: args.sentences]
    shown = _at(evidence, sentences, rows)
    tables = _pair_tables(runs, names, shown, sentences.take(rows))
    if sentences.labels is not None:
        tables |= _predictions(runs, names, shown, sentences.labels[rows])
    facts = {
        "dataset": args.dataset,
        "split": args.split,
        "split_size": len(sentences),
        "left_out": left_out,
        "task": task.name,
        "labels": sentences.label_names,
        "iterations": runs.iterations,
        "runs": names,
        "gold_iteration": gold_iteration,
        "performance": _performance(dump, performances, names, runs.iterations),
        "columns": [
            {"name": name, "sign": column.symbol, "compared": column.compared}
            for name, column in columns.items()
        ],
        "metrics": _means(runs, names, evidence),
    }

    def page_of(count: int, bits: int) -> bytes:
        """The page with the first ``count`` of the sentences, and values of so many bits."""
        order = np.argsort(rows[:count])  # in the order of their numbers
        columns_shown = _at(evidence, sentences, rows[order])
        scales, arrays = _columns(runs, names, columns_shown, list(columns), bits)
        arrays |= {name: table[..., order] for name, table in tables.items()}
        chosen = [{"number": int(numbers[row])} | texts[row] for row in rows[order]]
        return _fill(facts | {"bits": bits, "scales": scales, "sentences": chosen}, arrays)

    count = len(rows)
    for bits in WIDTHS:
        page = page_of(count, bits)
        if len(page) <= LIMIT:
            break
    while len(page) > LIMIT and count > 1:
        count = max(1, int(0.95 * count * LIMIT / len(page)))
        page = page_of(count, bits)
    out_file = args.out_file or args.outputs_dir / f"{args.dataset}_explorer.html"
    storage.save_bytes(page, out_file)
    print(
        f"{out_file}: {count} of {len(sentences)} sentences, {len(names)} runs, "
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
    """The names of the runs to show, the gold run first and the uniform run last."""
    known = [runs.gold, *runs.comparisons, runs.uniform]
    wanted = known if asked is None else cli.chosen_runs(asked, known)
    return [name for name in known if name in (*wanted, runs.gold, runs.uniform)]


def _betas(args: argparse.Namespace, task: Task, dump: dict[str, Any]) -> dict[str, np.ndarray]:
    """The word baseline; none, said in a line, if it has not been fitted."""
    path = task.beta_path(args.outputs_dir, args.dataset, args.embed_dim)
    make = f'run "python embedding_beta.py --dataset {args.dataset} --embed_dim {args.embed_dim}"'
    if not path.exists():
        print(f"{path} is missing, so the page has no β^px: {make}, then this again")
        return {}
    return {"px": word_baseline.load_baseline(path, dump["vocab"], make)["beta"]}


def _fitting(sentences: Sentences, values: int) -> np.ndarray:
    """The rows of the sentences that a page can show, each entry with so many ``values``.

    Others would fill half of it alone, and Kendall's tau compares all pairs of their tokens.
    """
    too_large = np.diff(sentences.entries) * values > LIMIT / 2
    return np.flatnonzero(~too_large & (sentences.source.lengths <= LONGEST))


def _at(evidence: Evidence, sentences: Sentences, rows: np.ndarray) -> Evidence:
    """The evidence of some sentences, in the order of ``rows``."""
    entries = Ragged(np.empty(0), sentences.entries).indices(rows)
    chosen = sentences.take(rows)
    scores = evidence.scores

    def column(name: str, run: str, iteration: int) -> np.ndarray | None:
        values = evidence.column(name, run, iteration)
        return None if values is None else values[entries]

    return replace(
        evidence,
        offsets=offsets_of(np.repeat(chosen.source.lengths, chosen.distributions)),
        column=column,
        scores=scores and (lambda run, it: scores(run, it)[rows]),
        words={name: values[entries] for name, values in evidence.words.items()},
        sentence=None,
    )


def _candidates(args: argparse.Namespace, numbers: np.ndarray, texts: list[dict]) -> np.ndarray:
    """The rows of the sentences that ``--indices`` and ``--text`` leave."""
    rows = np.arange(len(numbers))
    if args.indices is not None:
        unknown = sorted(set(args.indices) - set(numbers.tolist()))
        if unknown:
            raise InputError(
                f"--indices: there is no sentence {', '.join(map(str, unknown))} to show in "
                f"--split {args.split} (it has {numbers.min()} to {numbers.max()})"
            )
        rows = rows[np.isin(numbers, args.indices)]
    if args.text is not None:
        try:
            pattern = re.compile(args.text, re.IGNORECASE)
        except re.error as error:
            raise InputError(f"--text: {args.text!r} is no regular expression: {error}") from None
        found = [
            any(pattern.search(texts[row].get(side, "")) for side in ("text", "translation"))
            for row in rows
        ]
        rows = rows[np.array(found, dtype=bool)]
        if not len(rows):
            raise InputError(f"--text {args.text!r}: no sentence of --split {args.split} matches")
    return rows


def _worst_first(
    metric: Metric, runs: RunNames, evidence: Evidence, sentences: Sentences, rows: np.ndarray
) -> np.ndarray:
    """Rows by A(α of the gold checkpoint, β^uf), the lowest first, undefined ones last.

    β^uf is that of the iteration at which the whole split agrees best, as in the tables; equals
    are ordered by their mean over all iterations.
    """
    alpha = evidence.column("alpha", runs.gold, evidence.gold_iteration(runs))
    starts = offsets_of(sentences.distributions)[:-1]
    found = [
        metric.match(alpha, evidence.column("beta", runs.uniform, it), evidence.offsets)
        for it in runs.iterations
    ]
    best = int(np.argmax(np.nan_to_num([mean_agreement(values) for values in found], nan=-2)))
    agreement = np.array([_mean_by_sentence(values, starts) for values in found])[:, rows]
    return rows[np.lexsort((agreement.mean(axis=0), agreement[best]))]


def _means(runs: RunNames, names: list[str], evidence: Evidence) -> list[dict[str, Any]]:
    """What the curves of each metric show: means over all sentences of the split.

    ``level``, the largest of ``evidence``, is A(α, β^uf) of the tables.
    """
    gold_alpha = evidence.column("alpha", runs.gold, evidence.gold_iteration(runs))
    alpha, beta = (partial(evidence.column, column) for column in ("alpha", "beta"))
    found = []
    bar = cli.progress_bar(None, total=len(METRICS) * len(names), unit="run")
    for metric in METRICS.values():

        def mean(u: np.ndarray, v: np.ndarray, metric: Metric = metric) -> float | None:
            value = evidence.agreement(metric, u, v).mean
            return None if np.isnan(value) else round(value, 6)  # JSON has no NaN

        curve = [mean(gold_alpha, beta(runs.uniform, it)) for it in runs.iterations]
        bar.update()
        gold, same = [], []
        for name in names[:-1]:
            gold.append([mean(gold_alpha, alpha(name, it)) for it in runs.iterations])
            same.append([mean(alpha(name, it), beta(runs.uniform, it)) for it in runs.iterations])
            bar.update()
        found.append(
            {
                "name": metric.name,
                "help": metric.help,
                "binary": metric.match(gold_alpha, gold_alpha, evidence.offsets).dtype == bool,
                "chance": metric.chance(np.diff(evidence.offsets)),
                "level": max((value for value in curve if value is not None), default=None),
                "evidence": curve,  # A(α of the gold checkpoint, β^uf at each iteration)
                "gold": gold,  # (runs, iterations): A(α of the gold checkpoint, α)
                "same": same,  # (runs, iterations): A(α, β^uf), both at one iteration
            }
        )
    bar.close()
    return found


def _pair_tables(
    runs: RunNames, names: list[str], evidence: Evidence, sentences: Sentences
) -> dict[str, np.ndarray]:
    """The agreements of each sentence, in hundredths; -128 stands for NaN.

    Returns
    -------
    "pairs-<metric>" : A(α at one iteration, β^uf at another): int8 (runs, iterations, iterations,
        sentences), the mean over the distributions of a sentence; without the uniform run
    "gold-<metric>" : A(α of the gold checkpoint, α): int8 (runs, iterations, sentences)
    """
    starts = offsets_of(sentences.distributions)[:-1]  # of each sentence's distributions
    gold_alpha = evidence.column("alpha", runs.gold, evidence.gold_iteration(runs))
    betas = [evidence.column("beta", runs.uniform, it) for it in runs.iterations]
    tables: dict[str, np.ndarray] = {}
    bar = cli.progress_bar(None, total=len(METRICS) * (len(names) - 1), unit="run")
    for number, metric in enumerate(METRICS.values()):
        pairs, golds = [], []
        for name in names[:-1]:
            alphas = [evidence.column("alpha", name, it) for it in runs.iterations]
            golds.append([_by_sentence(metric, gold_alpha, u, evidence, starts) for u in alphas])
            pairs.append(
                [[_by_sentence(metric, u, v, evidence, starts) for v in betas] for u in alphas]
            )
            bar.update()
        tables |= {f"pairs-{number}": np.array(pairs), f"gold-{number}": np.array(golds)}
    bar.close()
    return tables


def _by_sentence(
    metric: Metric, u: np.ndarray, v: np.ndarray, evidence: Evidence, starts: np.ndarray
) -> np.ndarray:
    """The agreement of each sentence in hundredths: int8 (sentences,)."""
    values = _mean_by_sentence(metric.match(u, v, evidence.offsets), starts)
    return np.where(np.isnan(values), -128, np.rint(np.nan_to_num(values) * 100)).astype(np.int8)


def _mean_by_sentence(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The mean over each sentence's distributions, leaving out NaN: (sentences,)."""
    values = values.astype(np.float64)
    defined = ~np.isnan(values)
    sums = np.add.reduceat(np.where(defined, values, 0.0), starts)
    with np.errstate(invalid="ignore"):
        return sums / np.add.reduceat(defined.astype(np.float64), starts)


def _predictions(
    runs: RunNames, names: list[str], evidence: Evidence, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Of each sentence the log-odds of the gold label, and if the model predicts it.

    Returns
    -------
    "score" : float32 (runs, iterations, sentences)
    "right" : int8 of the same shape, 1 or 0
    """
    assert evidence.scores is not None
    logits = np.array([[evidence.scores(name, it) for it in runs.iterations] for name in names])
    flat = logits.reshape(-1, logits.shape[-1])  # (runs x iterations x sentences, labels)
    score = gold_evidence(flat, np.tile(labels, len(flat) // len(labels)))
    return {
        "score": score.reshape(logits.shape[:-1]).astype("<f4"),
        "right": (logits.argmax(axis=-1) == labels).astype(np.int8),
    }


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
    runs: RunNames, names: list[str], evidence: Evidence, columns: list[str], bits: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The columns of all sentences of ``evidence``, quantized.

    Returns
    -------
    scales : {column: (runs, iterations)}, None if there is nothing; of β^px one number
    arrays : {"<column>-<run>": (iterations, entries), "beta_px": (entries,)}
    """
    scales: dict[str, Any] = {column: [[] for _ in names] for column in columns}
    arrays = {}
    for column in columns:
        for run, name in enumerate(names):
            found = np.zeros((len(runs.iterations), evidence.offsets[-1]), dtype=WIDTHS[bits])
            for at, it in enumerate(runs.iterations):
                values = evidence.column(column, name, it)
                scale = None
                if values is not None:
                    found[at], scale = quantize(values, bits)
                scales[column][run].append(scale)
            if any(scale is not None for scale in scales[column][run]):
                arrays[f"{column}-{run}"] = found
    if "px" in evidence.words:
        arrays["beta_px"], scales["beta_px"] = quantize(evidence.words["px"], bits)
    return scales, arrays


def _shown(sentences: Sentences, vocab: list[str], row: int, task: Task) -> dict[str, Any]:
    """A sentence as the page shows it."""
    source, text = task.show([vocab[token] for token in sentences.source[row]])
    shown: dict[str, Any] = {"source": source, "text": text}
    if sentences.target is not None:
        target, translation = task.show([vocab[token] for token in sentences.target[row]])
        shown |= {"target": target, "translation": translation}
    if sentences.labels is not None:
        shown["label"] = int(sentences.labels[row])
    return shown


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
