"""Write RESULTS.md, and what README.md says was measured, from the CSVs in this folder.

Templates (*.j2) hold the words, and say which CSV a number comes from.

reads:   results/*.csv and results/*.j2
writes:  RESULTS.md and docs/reproduction.md; in README.md, the parts between
         "<!-- from results/TEMPLATE -->" and "<!-- end -->"
next:    git diff

example:
  python results/make.py
"""

import contextlib
import csv
import math
import re
from operator import itemgetter
from pathlib import Path
from typing import Any

from attention_dynamics import cli
from attention_dynamics.analysis import tables
from attention_dynamics.analysis.levels import symbols
from attention_dynamics.analysis.metrics import DEFAULT
from attention_dynamics.analysis.settings import Spread
from attention_dynamics.analysis.tables import decimals
from attention_dynamics.classification.task import TASK as CLASSIFICATION
from attention_dynamics.cli import InputError
from attention_dynamics.copying.heads import TRIAL
from attention_dynamics.copying.tables import (
    LEGEND,
    SHOWN,
    combinations_lines,
    histories_by,
    laws_lines,
    seeds_lines,
    survey_lines,
    times_lines,
)
from attention_dynamics.corpus import BaseCorpus
from attention_dynamics.files import storage
from attention_dynamics.translation.task import TASK as TRANSLATION
from attention_dynamics.views import copying, drawing, law
from attention_dynamics.views import settings as settings_view

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NAMES = [*CLASSIFICATION.datasets, *TRANSLATION.datasets]
LEVELS = CLASSIFICATION.levels | TRANSLATION.levels
RESUMED = ("train_runs", "dump_logs", "embedding_runs", "logistic_runs")  # stages that reuse work
# a line that prepare_data.py prints
SPLIT = re.compile(
    r"^(?P<split>\w+): (?P<kept>[\d,]+) sentences? (?:pairs|kept of (?P<read>[\d,]+) "
    r"\(left out: (?P<left_out>[^)]*)\), (?P<labels>.*), tokens)",
    re.MULTILINE,
)
PART = re.compile(r"(<!-- from results/(\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def parse_args():
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 2 if something would change"
    )
    return parser.parse_args()


def main():
    args = parse_args()
    for path, text in texts().items():
        if path.exists() and read(path) == text:
            print(f"{path}: the same")
        elif args.check:
            raise InputError(f"{path} is not what the CSVs say: run python results/make.py")
        else:
            storage.save_text(text, path)
            print(f"{path}: changed")


def texts() -> dict[Path, str]:
    """What the files should hold."""
    readme = ROOT / "README.md"
    new, found = PART.subn(lambda part: part[1] + render(part[2]) + part[3], read(readme))
    if not found:
        raise InputError(f"{readme} has no <!-- from results/TEMPLATE --> ... <!-- end -->")
    return {
        ROOT / "RESULTS.md": render("RESULTS.md.j2"),
        ROOT / "docs/reproduction.md": render("reproduction.md.j2"),
        readme: new,
    }


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def render(name: str) -> str:
    """A template with the numbers in it.

    Raises
    ------
    InputError
        where a template asks for what no CSV has.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,
    )
    environment.globals |= {
        "datasets": datasets_with_results,
        "every_data": lambda: [name for name in NAMES if (HERE / f"{name}_data.txt").exists()],
        "row": row,
        "rows": rows,
        "settings": settings,
        "differences": lambda name: settings(name, "difference_"),
        "means": means,
        "ratios": ratios,
        "over_chance": lambda *of: [line["agr_unif"] / line["baseline"] for line in of],
        "about": about,
        "costs": costs,
        "data": data,
        "time": time,
        "corpus": corpus,
        "authors_table": authors_table,
        "results_table": results_table,
        "settings_table": settings_table,
        "copying_table": copying_table,
        "combinations_table": combinations_table,
        "survey_table": survey_table,
        "law_times": law_times,
        "law_fits": law_fits,
        "laws": laws,
        "text": lambda name: read(HERE / name).rstrip("\n"),
    }
    environment.filters |= {"d": digits, "pm": plus_minus, "span": span}
    environment.filters |= {"exp": math.exp, "ends": itemgetter("low", "high")}
    try:
        return environment.get_template(name).render()
    except (jinja2.TemplateError, OSError, KeyError) as error:
        raise InputError(f"results/{name}: {error}") from None


def corpus(name: str) -> BaseCorpus:
    """The entry of a dataset of either task."""
    table = next(of.datasets for of in (CLASSIFICATION, TRANSLATION) if name in of.datasets)
    return table[name]


def datasets_with_results(task: str) -> list[str]:
    """The datasets of a task whose results are here."""
    names = (CLASSIFICATION if task == "classification" else TRANSLATION).datasets
    return [name for name in names if (HERE / f"{name}.csv").exists()]


def about(name: str) -> dict[str, str]:
    """Versions, machine and sizes of a dataset's results, as text."""
    return dict(csv.reader(read(HERE / f"{name}_about.csv").splitlines()))


def costs(name: str) -> dict[str, Any]:
    """What each stage of a dataset took, and ``peak_mib`` and ``commits`` of all.

    Calls of a stage that resumes add up; of one that begins anew the last call counts. ``at_least``
    is "≥ " if a training was interrupted: its time until then is not known, and else empty.
    """
    found: dict[str, Any] = {}
    lines = rows(f"{name}_costs.csv")
    for line in lines:
        before = found.get(line["stage"])
        if before and line["stage"] in RESUMED:
            line = line | {key: before[key] + line[key] for key in ("seconds", "cpu_seconds")}
        found[line["stage"]] = line
    commits = {line["commit"]: None for line in lines if line["stage"] in RESUMED}
    interrupted = any(line["stage"] == "train_runs" and line["status"] for line in lines)
    peak = max(line["peak_mib"] for line in lines)
    return found | {"peak_mib": peak, "commits": [*commits], "at_least": "≥ " * interrupted}


def time(name: str) -> str:
    """What a dataset's published runs and their evaluation took, in words."""
    of = costs(name)
    train, evaluate = (of[stage]["cpu_seconds"] / 60 for stage in ("train_runs", "dump_logs"))
    runs = len(about(name)["seeds"].split())
    train_time = of["at_least"] + digits(train, 0)
    return f"{runs} runs {train_time} min, evaluation {digits(evaluate, 0)} min"


def data(name: str) -> dict[str, Any]:
    """What prepare_data.py printed of each split: kept, read, left out, labels; and ``file``.

    ``file`` says whether the raw file has the published checksum. All is empty of data that were
    prepared elsewhere.
    """
    path = HERE / f"{name}_data.txt"
    printed = read(path) if path.exists() else ""
    file = "equal" if printed else ""
    if "differs from the public file" in printed:
        file = "differs"
    if "no checksum is published" in printed:
        file = "none published"
    splits = {found["split"]: found.groupdict() for found in SPLIT.finditer(printed)}
    return {"splits": splits, "file": file}


def rows(name: str, **where: Any) -> list[dict[str, Any]]:
    """The lines of a CSV that have these values; numbers are numbers, an empty field is None."""
    with (HERE / name).open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    kept = [row for row in found if all(row[key] == str(value) for key, value in where.items())]
    if not kept:
        raise KeyError(f"{name} has no line with {where}")
    return [
        {key: text if key == "commit" else value_of(text) for key, text in row.items()}
        for row in kept
    ]


def row(name: str, **where: Any) -> dict[str, Any]:
    """The first of :func:`rows`."""
    return rows(name, **where)[0]


def value_of(text: str) -> Any:
    with contextlib.suppress(ValueError):
        return float(text)
    return text or None


def settings(name: str, prefix: str = "") -> dict[str, dict[str, Spread]]:
    """The figures of a CSV that settings.py wrote, by setting and figure.

    ``prefix="difference_"`` gives the differences from the first setting.
    """
    found: dict[str, dict[str, Spread]] = {}
    for line in rows(name):
        mean, high = line["difference" if prefix else "mean"], line[f"{prefix}high"]
        half = None if high is None else high - mean
        counts = (int(line[f"{prefix}{what}"] or 0) for what in ("seeds", "never"))
        found.setdefault(line["setting"], {})[line["figure"]] = Spread(mean, half, *counts)
    return found


def means(of: dict[str, dict[str, Spread]], *figures: str) -> list[float]:
    """The means of some figures in all settings that have them."""
    found = (figure_of[figure].mean for figure_of in of.values() for figure in figures)
    return [mean for mean in found if mean is not None]


def ratios(of: dict[str, dict[str, Spread]], figure: str) -> list[float]:
    """A figure of each setting, divided by chance."""
    return [a / b for a, b in zip(means(of, figure), means(of, "baseline"))]


def settings_table(name: str) -> str:
    """The table that settings.py printed, without the differences."""
    first = row(name)
    about = [first[key] for key in ("dataset", "metric", "split", "performance")]
    table = settings_view.value_rows(settings(name))
    return "\n".join([settings_view.title(about), *settings_view.narrow_tables(table)])


def copying_table(name: str, experiment: str) -> str:
    """What seq2seq.py printed of all seeds."""
    rows = drawing.read_rows(HERE / name, copying.COLUMNS)
    return "\n".join(seeds_lines(copying.histories_of(rows, experiment)))


def combinations_table(name: str) -> str:
    """What multihead.py printed of combinations of heads."""
    rows = drawing.read_rows(HERE / name, copying.COLUMNS)
    kinds = dict.fromkeys(row["experiment"] for row in rows)
    return "\n".join(combinations_lines({kind: copying.histories_of(rows, kind) for kind in kinds}))


def survey_table(name: str) -> str:
    """What multihead.py --base_seeds printed."""
    rows = drawing.read_rows(HERE / name, {int: (*TRIAL, "step"), float: tuple(SHOWN)})
    return "\n".join(survey_lines(histories_by(rows, *TRIAL)))


def law_times(name: str) -> str:
    """The first table that law.py printed."""
    return "\n".join(times_lines(drawing.read_rows(HERE / name, law.COLUMNS)))


def law_fits(name: str, legend: bool = False) -> str:
    """The second table that law.py printed."""
    lines = laws_lines(drawing.read_rows(HERE / name, law.FIT_COLUMNS))
    return "\n".join(lines if legend else lines[1 : -len(LEGEND)])


def laws(name: str) -> dict[str, dict[str, dict[str, dict]]]:
    """The rows of a CSV of fitted laws, by time, repetition and term."""
    found: dict[str, dict[str, dict[str, dict]]] = {}
    for line in rows(name):
        of = found.setdefault(line["time"], {}).setdefault(line["repetition"], {})
        of[line["term"]] = line
    return found


def results_table(
    *names: str, metrics: tuple[str, ...] = (), performances: tuple[str, ...] = (), only: str = ""
) -> str:
    """The table that collect_*_stats.py printed, of several datasets.

    Parameters
    ----------
    names : of the datasets; ``Furd`` is ``Furd.csv``
    metrics, performances : the ones to show; none for all
    only : ``values`` or ``intervals``; else gold rows too, where they are
    """
    results: tables.Results = {}
    for name in names:
        csvs = (read(HERE / f"{name}{ending}.csv") for ending in ("", "_curves"))
        found = tables.results_of_csv(*csvs)
        for key, summary in found.items():
            if (not metrics or key[1] in metrics) and (not performances or key[3] in performances):
                results[key] = summary
    for summary in results.values():
        if only:
            summary.pop("gold_intervals", None)
        if only == "values":
            summary |= {"intervals": {}, "xi_never": {}, "resamples": 0}
    return tables.text_table(results, LEVELS)


def authors_table(name: str, metric: str = DEFAULT) -> list[list[str]]:
    """Ours beside the authors' figures: a row for each figure that they report.

    The last column says whether theirs lies in our 95% interval over ``sentences``, or else from
    the smallest to the largest of our gold runs (``seeds``).
    """
    ours = row(f"{name}.csv", metric=metric, split="val")
    heads = symbols(LEVELS)
    table = []
    for key, theirs in corpus(name).authors.items():
        count = decimals(key, ours["best_perf"])
        spans = {}
        if ours["resamples"] and key != "best_perf":
            spans["sentences"] = (ours[f"{key}_low"], ours[f"{key}_high"])
        over_seeds = (ours.get(f"{key}_gold_min"), ours.get(f"{key}_gold_max"))
        if over_seeds[0] != over_seeds[1]:  # Δ has one gold run, and A(βᵘᶠ, βᵖˣ) none
            spans["seeds"] = over_seeds
        difference = "-"
        if theirs is not None and ours[key] is not None:
            difference = f"{ours[key] - theirs:+.{count}f}"
        where = (what for what, ends in spans.items() if within(theirs, ends))
        table.append(
            [
                heads[key].text,
                digits(theirs, count),
                digits(ours[key], count),
                difference,
                *(
                    " to ".join(digits(end, count) for end in spans[what]) if what in spans else "-"
                    for what in ("sentences", "seeds")
                ),
                next(where, "neither"),
            ]
        )
    return table


def within(value: float | None, ends: tuple[float | None, float | None]) -> bool:
    """Whether a figure lies in an interval; None is a ξ that is never reached: later than any."""
    found, low, high = (math.inf if one is None else one for one in (value, *ends))
    return low <= found <= high


def digits(value: float | None, count: int = 3) -> str:
    """A number as text; a ξ that is None is never reached."""
    return "never" if value is None else tables.fixed(value, count, ",")


def span(values: list[float], count: int = 3) -> str:
    """``3.1 to 3.7``: the smallest and the largest."""
    return f"{digits(min(values), count)} to {digits(max(values), count)}"


def plus_minus(spread: Spread, count: int = 3) -> str:
    """``27 ± 3``: the mean over seeds, and half of its interval."""
    if spread.mean is None:
        return "never"
    half = "" if spread.half_width is None else f" ± {digits(spread.half_width, count)}"
    return digits(spread.mean, count) + half


if __name__ == "__main__":
    cli.run(main)
