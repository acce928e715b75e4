"""The paper's story in words, as a table, a CSV file and a figure: what both ``words.py`` do."""

import argparse
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis.collection import load_betas
from attention_dynamics.analysis.dump import dump_path, load_dump, token_columns
from attention_dynamics.analysis.evidence import RunNames
from attention_dynamics.analysis.task import Task
from attention_dynamics.analysis.words import DERIVED, Words, words_of
from attention_dynamics.cli import InputError
from attention_dynamics.corpus import add_dataset
from attention_dynamics.files import storage
from attention_dynamics.views import drawing
from attention_dynamics.views.figures.words import LINES, MIN_COUNT, draw, rows_of_words
from attention_dynamics.views.plotting import chosen_iterations


def parser(description: str, script: str, task: Task) -> cli.Parser:
    """The flags that both scripts have."""
    parser = cli.Parser(description)
    add_dataset(parser, task.datasets)
    parser.add_argument(
        "--words", type=cli.positive_int, default=10, help="how many leading words a table shows"
    )
    parser.add_argument(
        "--query",
        nargs="+",
        metavar="WORD",
        help="show these words instead, however rare; in translation Hund stands for all pairs "
        "with this piece, and Hund=dog for one pair",
    )
    parser.add_argument(
        "--iterations", type=cli.steps, help="checkpoints to show (default: five, first to last)"
    )
    parser.add_argument(
        "--rank_at",
        type=cli.steps,
        help="rank the words by beta^uf at these checkpoints, a table for each (default: the first "
        "at which the uniform run's performance has made 3/4 of its way to its best)",
    )
    parser.add_argument(
        "--min_count",
        type=cli.positive_int,
        default=MIN_COUNT,
        help="leave out words with fewer occurrences in the evaluated sentences",
    )
    parser.add_argument(
        "--split", choices=list(task.performances), default="val", help="which sentences"
    )
    parser.add_argument(
        "--embed_dim", type=cli.positive_int, default=256, help="dimension of the word baseline"
    )
    drawing.add_flags(parser)
    parser.add_argument("--out_dir", type=Path, help="folder of the files (default: outputs)")
    cli.add_folders(parser, script, "outputs")
    return parser


def show_words(args: argparse.Namespace, task: Task) -> None:
    """Print the tables, and write the CSV file and the figure, that :func:`parser` asks for.

    Raises
    ------
    InputError
        if the dump is missing, or lacks what is asked for. Nothing is written then.
    """
    dump = load_dump(args.outputs_dir, args.dataset)
    runs = RunNames.of(set(dump["alpha"]), str(dump_path(args.outputs_dir, args.dataset)))
    betas = {}
    if task.beta_path(args.outputs_dir, args.dataset, args.embed_dim).exists():
        betas = load_betas(task, args.outputs_dir, args.dataset, args.embed_dim, dump["vocab"])
    every = words_of(task, dump, betas, runs, args.split)
    words = every.frequent(1 if args.query else args.min_count)
    if not len(words):
        raise InputError(f"no word occurs {args.min_count} times: try a smaller --min_count")
    shown = words.written(task, dump["vocab"])
    ranked_at = args.rank_at and chosen_iterations(dump, args.rank_at)
    ranked_at = ranked_at or [words.early_iteration()]
    iterations = sorted({*chosen_iterations(dump, args.iterations), *ranked_at})
    if args.query:
        places = queried(words, shown, args.query)
        of_labels = labels_of(words, places)
        print(f"{args.dataset}, {args.split} sentences")
        print_tables(words, of_labels, shown, iterations, "")
    else:
        what = "pairs of pieces" if words.labels is None else "words"
        print(
            f"{args.dataset}, {args.split} sentences: {len(words):,} {what} that occur "
            f"{args.min_count} times or more"
        )
        for at in ranked_at:
            of_labels = words.leading_of_labels(at, args.words)
            print_tables(words, of_labels, shown, iterations, f", most at iteration {at}")
            print(agreement_line(words, at, iterations))
    print(notes(words))
    if not betas:
        print("No βᵖˣ: embedding_beta.py has not been run.")
    path = (args.out_dir or args.outputs_dir) / f"{args.dataset}_words"
    csv_path = path.with_name(f"{args.dataset}_word_means.csv")
    written = words.take(places) if args.query else words
    storage.save_csv(header(dump), csv_rows(written, dump), csv_path)
    print(csv_path)
    of_labels = {label: chosen[: len(LINES)] for label, chosen in of_labels.items()}
    title = f"{args.dataset}, {args.split}"
    at = None if args.query else ranked_at[-1]
    drawing.write(rows_of_words(words, of_labels, shown, at, title), draw, path, args)


def queried(words: Words, shown: list[str], query: list[str]) -> np.ndarray:
    """The places of the words that are asked for, in that order; upper and lower case differ.

    Raises
    ------
    InputError
        if one does not occur.
    """
    parts = [word.split(" → ") for word in shown]
    found: list[int] = []
    for asked in query:
        wanted = asked.split("=") if words.labels is None and len(asked) > 1 else [asked]
        places = [
            place
            for place, word in enumerate(parts)
            if word == wanted or (len(wanted) == 1 and asked in word)
        ]
        if not places:
            close = difflib.get_close_matches(asked, {part for word in parts for part in word}, 3)
            hint = f" (there is {', '.join(close)})" if close else ""
            raise InputError(f"--query: {asked} does not occur in these sentences{hint}")
        found += places
    return np.array(list(dict.fromkeys(found)))


def labels_of(words: Words, places: np.ndarray) -> dict[int | None, np.ndarray]:
    """The places by the label that β is evidence for, by falling count."""
    places = places[np.argsort(-words.counts[places], kind="stable")]
    if words.labels is None:
        return {None: places}
    return {int(y): places[words.labels[places] == y] for y in np.unique(words.labels[places])}


def print_tables(
    words: Words,
    of_labels: dict[int | None, np.ndarray],
    shown: list[str],
    iterations: list[int],
    title: str,
) -> None:
    """A table for each label: β^uf and attention of its words at these iterations."""
    columns = [words.runs.iterations.index(it) for it in iterations]
    attention = words.attention[columns]
    for label, places in of_labels.items():
        beta = words.uniform_evidence(label)[columns]
        rows = [["", "", "", *map(str, iterations), *map(str, iterations)]]
        for word in places:
            px = None if words.px is None else words.px[word] * words.sign_of(label)
            rows.append(
                [
                    shown[word],
                    f"{words.counts[word]:,}",
                    "" if px is None else f"{px:.2g}" if label is None else f"{px:.2f}",
                    *(f"{value:.2f}" for value in beta[:, word]),
                    *(f"{value:.2f}" for value in attention[:, word]),
                ]
            )
        every = np.flatnonzero(~np.isnan(beta[0]))  # with more than two labels, those of this one
        for name, some in ((f"mean of these {len(places)}", places), ("mean of all", every)):
            means = [*beta[:, some].mean(axis=1), *attention[:, some].mean(axis=1)]
            rows.append([name, "", "", *(f"{value:.2f}" for value in means)])
        name = "βᵘᶠ minus its mean" if label is None else f"βᵘᶠ for label {words.names[label]}"
        groups = [f"{name}{title}", "α × length"]
        print("\n" + "\n".join(aligned(rows, groups, len(iterations))))


def aligned(rows: list[list[str]], groups: list[str], n_columns: int) -> list[str]:
    """The lines of a table: words, count, β^px, and ``groups`` of ``n_columns`` numbers each."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    widths[1], widths[2] = max(widths[1], len("count")), max(widths[2], len("βᵖˣ"))
    for number, group in enumerate(groups):  # the last column of a group takes what its name needs
        first = 3 + number * n_columns
        missing = len(group) - sum(widths[first : first + n_columns]) - 2 * (n_columns - 1)
        widths[first] += max(0, missing)
    rows[0][1:3] = ["count", "βᵖˣ"]

    def line(cells: list[str]) -> str:
        parts = [cells[0].ljust(widths[0])]
        for place, (cell, width) in enumerate(zip(cells[1:], widths[1:])):
            gap = "  |  " if place >= 2 and (place - 2) % n_columns == 0 else "  "
            parts.append(gap + cell.rjust(width))
        return "".join(parts)

    above = " " * (sum(widths[:3]) + 4)
    for number, group in enumerate(groups):
        first = 3 + number * n_columns
        width = sum(widths[first : first + n_columns]) + 2 * (n_columns - 1)
        above += "  |  " + group.ljust(width)
    lines = [line(row) for row in rows]
    rule = "-" * len(lines[0])
    return [above.rstrip(), lines[0], rule, *lines[1:-2], rule, *lines[-2:]]


def agreement_line(words: Words, at: int, iterations: list[int]) -> str:
    """Whether attention goes to the words that had evidence at iteration ``at``."""
    by_iteration = dict(zip(words.runs.iterations, words.agreement(at)))
    values = ", ".join(f"{by_iteration[it]:.2f} at {it}" for it in iterations)
    what = "|βᵘᶠ - its mean over words|" if len(words.names) == 2 else "βᵘᶠ"
    return (
        f"\nDoes attention go where the evidence was? Pearson's correlation over all "
        f"{len(words):,}:\n{what} at {at} with α × length: {values}"
    )


def notes(words: Words) -> str:
    """How to read the tables."""
    lines = [
        "\nMeans over the occurrences. βᵘᶠ: evidence in the run with uniform attention. α × length:"
        "\nattention of the other runs, relative to uniform attention, which is 1."
    ]
    if len(words.names) == 2:
        lines.append("\nEvidence for one label is evidence against the other.")
    if len(words.names) > 2:
        lines.append("\nA word is counted in the sentences of its label.")
    if not words.names:
        lines.append("\nβ is a log-probability; its mean over the source tokens is subtracted.")
    return "".join(lines)


def header(dump: dict[str, Any]) -> list[str]:
    """The columns of the CSV file."""
    pair = "source_offsets" in dump["sentences"]
    return [
        *(["source", "target"] if pair else ["word", "label"]),
        *("run", "iteration", "count"),
        *(f"mean_{column}" for column in columns_of(dump)),
        "beta_px",
    ]


def columns_of(dump: dict[str, Any]) -> list[str]:
    """The columns whose means the CSV file has."""
    return [*token_columns(dump), *DERIVED]


def csv_rows(words: Words, dump: dict[str, Any]) -> Iterator[tuple]:
    """A row for each word, run and iteration. A field is empty if there is no value."""
    keys = [tuple(dump["vocab"][token] for token in tokens) for tokens in words.tokens]
    if words.labels is not None:
        keys = [(*key, words.names[label]) for key, label in zip(keys, words.labels)]
    counts = words.counts.tolist()
    px = [None] * len(words) if words.px is None else words.px.tolist()
    for run in (words.runs.gold, *words.runs.comparisons, words.runs.uniform):
        means = [words.mean(column, run) for column in columns_of(dump)]
        for at, iteration in enumerate(words.runs.iterations):
            values = [[None] * len(words) if np.isnan(m[at]).all() else m[at] for m in means]
            for key, count, *numbers, of_px in zip(keys, counts, *values, px):
                yield *key, run, iteration, count, *numbers, of_px
