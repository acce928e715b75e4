"""The collected results as a table: to read, for a paper, or for a program."""

import csv
import io
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attention_dynamics.analysis import onsets
from attention_dynamics.analysis.levels import Level, Symbols, levels_of, symbols
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.files.forms import Each, fits

Results = dict[tuple, dict[str, Any]]
Levels = dict[str, Level]

NAMES = ["dataset", "metric", "performance"]
GOLD_ROWS = {"mean": "gold mean", "min": "gold min", "max": "gold max", "count": "gold runs"}


def text_table(results: Results, levels: Levels) -> str:
    """To read in a terminal. Two heads, ``A`` and ``ξ``, stand above what they apply to."""
    heads = heads_of(results, levels)
    keys = list(heads)
    rows = [[*NAMES, *(head.short for head in heads.values())]]
    for name, summary in results.items():
        rows += cells(name, summary, keys)
    lines = aligned(rows, len(NAMES))
    widths = [max(map(len, column)) + 2 for column in zip(*rows)]
    left = sum(widths[: len(NAMES)])
    middle = sum(widths[: len(NAMES) + keys.index("baseline") + 1])
    groups = " " * left + "A".center(middle - 2 - left, "-")
    groups += "  " + "ξ".center(sum(widths) - 2 - middle, "-")
    return "\n".join([groups, *lines, *notes(results)])


def markdown_table(results: Results, levels: Levels) -> str:
    """A table of GitHub's Markdown."""
    heads = heads_of(results, levels)
    keys = list(heads)
    rows = [[*NAMES, *(head.text for head in heads.values())]]
    for name, summary in results.items():
        rows += cells(name, summary, keys)
    lines = markdown_rows(rows, len(NAMES))
    return "\n".join([*lines, *(f"\n{note}" for note in notes(results))])


def latex_table(results: Results, levels: Levels) -> str:
    """A ``tabular`` for a document that uses the package booktabs."""
    heads = heads_of(results, levels)
    keys = list(heads)
    n_agreements = keys.index("baseline") + 1
    first, last = len(NAMES) + 1, len(NAMES) + len(keys)
    middle = len(NAMES) + n_agreements
    lines = [
        r"% \usepackage{booktabs}",
        *(f"% {note}" for note in notes(results)),
        r"{\footnotesize\setlength{\tabcolsep}{3pt}",  # thirteen columns on a page
        r"\begin{tabular}{" + "l" * len(NAMES) + "r" * len(keys) + "}",
        r"\toprule",
        " & " * len(NAMES)
        + rf"\multicolumn{{{n_agreements}}}{{c}}{{$\mathcal{{A}}$}}"
        + rf" & \multicolumn{{{len(keys) - n_agreements}}}{{c}}{{$\xi$}} \\",
        rf"\cmidrule(lr){{{first}-{middle}}} \cmidrule(lr){{{middle + 1}-{last}}}",
        " & ".join([*NAMES, *(f"${head.latex}$" for head in heads.values())]) + r" \\",
    ]
    for name, summary in results.items():
        lines.append(r"\midrule")
        for number, row in enumerate(cells(name, summary, keys)):
            escaped = [_in_latex(cell) for cell in row]
            if number:  # what belongs to the row above is smaller
                escaped = [rf"{{\scriptsize {cell}}}" if cell else "" for cell in escaped]
            lines.append(" & ".join(escaped) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}"])


def aligned(rows: list[list[str]], left: int = 1) -> list[str]:
    """Lines of text with a rule below the first: ``left`` columns to the left, others right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        starts = map(str.ljust, row[:left], widths)
        lines.append("  ".join([*starts, *map(str.rjust, row[left:], widths[left:])]).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def markdown_rows(rows: list[list[str]], left: int = 1) -> list[str]:
    """Lines of a table of GitHub's Markdown; the first row is the head, others as ``aligned``."""
    escaped = [[text.replace("|", r"\|") for text in row] for row in rows]
    ruled = [escaped[0], ["---"] * left + ["---:"] * (len(rows[0]) - left), *escaped[1:]]
    return ["| " + " | ".join(row) + " |" for row in ruled]


def onset_table(results: Results, style: str) -> str:
    """Onsets, rises and lags, of results collected with ``--include_onsets``.

    ``style`` is one of ``FORMATS``; LaTeX gets a comment. CSV has them in its own columns.
    """
    names = [", ".join([key[0], key[1], key[3]]) for key in results]
    times = {key for summary in results.values() for key in summary["onsets"]}
    rows = [["updates", *names]]
    for key in onsets.times(list(onsets.SOURCES)):
        if key in times:
            found = (summary["onsets"].get(key) for summary in results.values())
            rows.append(
                [onsets.text_of(key), *("-" if one is None else time(one) for one in found)]
            )
    if style == "markdown":
        return "\n".join(markdown_rows(rows))
    lines = aligned(rows)
    return "\n".join(f"% {line}" for line in lines) if style == "latex" else "\n".join(lines)


def time(found: dict[str, Any]) -> str:
    """``108 [50, never]``: an onset, a rise or a lag, and its interval over sentences."""

    def shown(value: float) -> str:
        if math.isinf(value):
            return "never" if value > 0 else "evidence never"
        return "-" if math.isnan(value) else f"{value:.0f}"

    ends = found["interval"]
    return shown(found["value"]) + (f" [{', '.join(map(shown, ends))}]" if ends else "")


def _in_latex(cell: str) -> str:
    for special in "%_&#$":
        cell = cell.replace(special, "\\" + special)
    if cell.startswith(("<", ">")):
        return f"${cell[0]}${cell[1:]}"
    if cell.startswith("-"):
        return "--" if cell == "-" else f"${cell}$"  # a minus, no hyphen
    return cell


def csv_table(results: Results, levels: Levels) -> str:
    """For a program: a line for each key of the results, with all digits.

    The columns of an interval are ``<key>_low`` and ``<key>_high``, that of the share of
    resamples in which ξ is not reached ``<key>_never``. A field is empty if a figure could not be
    computed; a ``xi_``, or an end of its interval, also if it is never reached. With ``--gold all``
    there are also ``<key>_gold_mean``, ``_gold_min``, ``_gold_max``, ``_gold_count`` and
    ``_gold_never``. With ``--include_onsets`` there are onsets, rises and lags, ``inf`` if never.
    """
    keys = list(heads_of(results, levels))
    header = ["dataset", "metric", "split", "performance", *keys]
    with_interval = [key for key in keys if key != "best_perf"]
    header += [f"{key}_{end}" for key in with_interval for end in ("low", "high")]
    header += [f"{key}_never" for key in with_interval if key.startswith("xi_")]
    header += ["resamples"]
    if any("gold_intervals" in summary for summary in results.values()):
        spread = (*GOLD_ROWS, "never")
        header += [f"{key}_gold_{what}" for key in keys for what in spread]
    timed = [key for summary in results.values() for key in summary.get("onsets", ())]
    for key in dict.fromkeys(timed):
        header += [key, f"{key}_low", f"{key}_high"]
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for (dataset, metric, split, performance), summary in results.items():
        row = {"dataset": dataset, "metric": metric, "split": split, "performance": performance}
        row |= summary
        for key, ends in summary["intervals"].items():
            if ends is not None:
                row[f"{key}_low"], row[f"{key}_high"] = ends
        row |= {f"{key}_never": share for key, share in summary["xi_never"].items()}
        for key, spread in summary.get("gold_intervals", {}).items():
            row |= {f"{key}_gold_{what}": value for what, value in (spread or {}).items()}
        for key, found in summary.get("onsets", {}).items():
            row[key] = found["value"]
            row[f"{key}_low"], row[f"{key}_high"] = found["interval"] or (None, None)
        writer.writerow(row)
    return text.getvalue().rstrip("\n")


def results_of_csv(text: str, curves: str) -> Results:
    """What :func:`csv_table` and :func:`curves_csv` wrote, as far as the tables need it."""

    def number(row: dict[str, str], key: str) -> float | None:
        return float(row[key]) if row.get(key) else None

    results: Results = {}
    for row in csv.DictReader(io.StringIO(text)):
        # not those of onsets, which are not figures of the table
        keys = [key[: -len("_low")] for key in row if re.match("(agr_.*|xi_.*|baseline)_low", key)]
        # the ends of a ξ are empty if it is never reached
        there = [key for key in keys if row.get(f"{key.replace('xi_', 'agr_')}_low")]
        summary: dict[str, Any] = {key: number(row, key) for key in [*keys, "best_perf"]}
        summary["resamples"] = int(row["resamples"])
        summary["intervals"] = {
            key: (number(row, f"{key}_low"), number(row, f"{key}_high")) if key in there else None
            for key in keys
            if summary["resamples"]
        }
        summary["xi_never"] = {key: number(row, f"{key}_never") for key in keys if "xi_" in key}
        summary["alpha_corrs_std"] = {}
        if "best_perf_gold_mean" in row:
            spread = (*GOLD_ROWS, "never")
            summary["gold_intervals"] = {
                key: {what: number(row, f"{key}_gold_{what}") for what in spread}
                for key in [*keys, "best_perf"]
                if row[f"{key}_gold_count"]
            }
            for of in summary["gold_intervals"].values():
                of |= {what: int(of[what]) for what in ("count", "never")}
        results[row["dataset"], row["metric"], row["split"], row["performance"]] = summary
    for row in csv.DictReader(io.StringIO(curves)):
        key = row["dataset"], row["metric"], row["split"], row["performance"]
        spread_at = number(row, "alpha_corrs_std")
        results[key]["alpha_corrs_std"][int(row["iteration"])] = spread_at
    return results


def curves_csv(results: Results) -> str:
    """What the table's ξ come from: a line for each iteration of each summary, with all digits.

    ``alpha_corrs`` and ``alpha_perfs`` are means over the comparison runs, ``alpha_corrs_std`` is
    the standard deviation over them; it is empty if there is only one.
    """
    names = ["dataset", "metric", "split", "performance", "iteration"]
    curves = ["alpha_corrs", "alpha_corrs_std", "alpha_perfs"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *curves])
    for key, summary in results.items():
        for it in summary["iterations"]:
            writer.writerow([*key, it, *(summary[curve][it] for curve in curves)])
    return text.getvalue()


def load_results(path: Path, do: str) -> Results:
    """Read what collect_*_stats.py wrote; ``do`` is the advice if that is not possible.

    Raises
    ------
    InputError
        if it is missing, damaged, or holds something else.
    """
    results = storage.load_pickle(path, do)
    # columns of a task come and go; all other figures must be there
    always = {key: level for key, level in levels_of({}).items() if not level.optional}
    needed = {*symbols(always), "alpha_corrs", "alpha_perfs", "alpha_corrs_std", "iterations"}
    needed |= {"intervals", "xi_never", "resamples"}
    if not fits(results, Each((str,) * 4, dict.fromkeys(needed, lambda _: True))):
        raise InputError(f"{path} has no results of this version in it: {do}")
    return results


FORMATS = {"text": text_table, "markdown": markdown_table, "latex": latex_table, "csv": csv_table}


def heads_of(results: Results, levels: Levels) -> dict[str, Symbols]:
    """The columns that any of the results has, by key, in the order of tables."""
    return {
        key: head
        for key, head in symbols(levels).items()
        if any(key in summary for summary in results.values())
    }


def decimals(key: str, best_perf: float) -> int:
    """To show a figure with: fewer where it is a performance in percent."""
    percent = best_perf > 1 and (key.startswith("xi_") or key == "best_perf")
    return 1 if percent else 3


def fixed(value: float, digits: int, form: str = "") -> str:
    """A number with so many decimals, and never "-0.000"; ``form`` is such as ``+`` or ``,``."""
    return f"{round(value, digits) + 0:{form}.{digits}f}"


def rounded(key: str, value: float, best_perf: float, sign: str = "") -> str:
    """A figure of a table, rounded; ``sign="+"`` writes a plus, too."""
    return fixed(value, decimals(key, best_perf), sign)


def figure(key: str, summary: Mapping[str, Any]) -> str:
    """A figure; "never" where ξ is not reached, "-" where there is none."""
    value = summary.get(key)
    if value is not None:
        return rounded(key, value, summary["best_perf"])
    never = key.startswith("xi_") and summary.get(key.replace("xi_", "agr_")) is not None
    return "never" if never else "-"


def figure_with_interval(key: str, summary: dict[str, Any]) -> str:
    """``0.992 [0.980, never] (17% never)``: a figure, its interval, and how often ξ is not reached.

    What is 0%, or says "never" again, is left out.
    """
    text = figure(key, summary)
    ends = summary["intervals"].get(key)
    if ends is not None and any(end is not None for end in ends):
        best_perf = summary["best_perf"]
        shown = ("never" if end is None else rounded(key, end, best_perf) for end in ends)
        text += f" [{', '.join(shown)}]"
    share = summary["xi_never"].get(key)
    return f"{text} ({percent(share)} never)" if share and share < 1 else text


def cells(name: tuple, summary: dict[str, Any], keys: list[str]) -> list[list[str]]:
    """The rows of one summary: its figures, the ends of their intervals, how often ξ is not
    reached, if it ever is not, and the figures over gold runs, if they were collected.
    """
    dataset, metric, _, performance = name

    def number(key: str, value: float) -> str:
        return rounded(key, value, summary["best_perf"])

    rows = [[dataset, metric, performance, *(figure(key, summary) for key in keys)]]
    intervals, xi_never = summary["intervals"], summary["xi_never"]
    for end, label in enumerate(["95% low", "95% high"] if intervals else []):
        row = ["", "", label]
        for key in keys:
            ends = intervals.get(key)
            if ends is None:
                row.append("")
            else:
                row.append("never" if ends[end] is None else number(key, ends[end]))
        rows.append(row)
    if any(xi_never.values()):
        shares = [xi_never.get(key) for key in keys]
        rows.append(["", "", "never", *("" if s is None else percent(s) for s in shares)])
    spreads = summary.get("gold_intervals", {})
    for what, label in (GOLD_ROWS if spreads else {}).items():
        row = ["", "", label]
        for key in keys:
            spread = spreads.get(key)
            if spread is None:
                row.append("")
            elif what == "count":
                never = spread["never"]
                row.append(f"{spread[what] - never}/{spread[what]}" if never else str(spread[what]))
            else:
                row.append("never" if spread[what] is None else number(key, spread[what]))
        rows.append(row)
    return rows


def percent(share: float) -> str:
    """In whole percent, but 0% and 100% are exactly that."""
    if 0 < share < 0.01:
        return "<1%"
    if 0.99 < share < 1:
        return ">99%"
    return f"{share:.0%}"


def notes(results: Results) -> list[str]:
    """What to know to read the intervals."""
    found = []
    resamples = {summary["resamples"] for summary in results.values()} - {0}
    if resamples:
        found.append(
            f"95%: bootstrap over sentences, {max(resamples):,} resamples; "
            "never: the share of them in which ξ is not reached. ξ* has no interval."
        )
    if any("gold_intervals" in summary for summary in results.values()):
        found.append(
            "gold: each normal run in turn is the gold run, the others are the comparison runs; "
            "gold runs: how many have the figure, 5/6 if 5 of 6 reach ξ."
        )
    single = [
        name[0]
        for name, summary in results.items()
        if any(spread is None for spread in summary["alpha_corrs_std"].values())
    ]
    if single:
        found.append(
            f"{', '.join(dict.fromkeys(single))}: one comparison run, so the spread over runs "
            "(alpha_corrs_std) is unknown."
        )
    return found
