"""The report: what is there is in it, as the stages wrote it; what is not is named."""

import json
import os
import pickle
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from conftest import ROOT, assert_one_line, files_in

from attention_dynamics.copying.histories import COLUMNS

ITERATIONS = [0, 10]
AGREEMENTS = ("unif", "px", "grad", "normal")


def summary(best_perf: float = 0.8, **changes) -> dict:
    values = {f"agr_{name}": 0.2 + i / 100 for i, name in enumerate(AGREEMENTS)}
    values |= {f"xi_{name}": best_perf / 2 for name in AGREEMENTS}
    values["arg_grad"] = values["agr_grad"]
    return {
        **values,
        "baseline": 0.07,
        "best_perf": best_perf,
        "alpha_corrs": dict.fromkeys(ITERATIONS, 0.5),
        "alpha_perfs": dict.fromkeys(ITERATIONS, 0.5),
        "alpha_corrs_std": dict.fromkeys(ITERATIONS, 0.01),
        "iterations": ITERATIONS,
        "intervals": {"agr_unif": (0.15, 0.25)},
        "xi_never": {"xi_unif": 0.1},
        "resamples": 1000,
    } | changes


def key(dataset: str, performance: str = "test_acc", metric: str = "top 5% match") -> tuple:
    return dataset, metric, "val", performance


def write_pickle(value, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value))


@pytest.fixture
def root(tmp_path) -> Path:
    """Folders in which no stage has run."""
    for task in ("classification", "translation"):
        (tmp_path / task).mkdir()
    return tmp_path


@pytest.fixture
def report(root, capsys, monkeypatch):
    """Runs report.py: status, output, error output."""

    def run(*flags):
        monkeypatch.setattr(sys, "argv", ["report.py", "--root", str(root), *map(str, flags)])
        status = 0
        try:
            runpy.run_path(str(ROOT / "report.py"), run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
        return status, *capsys.readouterr()

    return run


class Page(HTMLParser):
    """Which tags a page opens, and whether it closes them."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.targets = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.targets += [value for name, value in attributes if name in ("src", "href", "srcset")]
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def rows_of(markdown: str, first: str) -> list[list[str]]:
    """The cells of the table's rows from the one that begins with ``first``."""
    lines = markdown.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" |")])
    return rows


def test_nothing_is_there(root, report):
    status, out, err = report()
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        str(root / "report" / name) for name in ("results.md", "index.html")
    ]
    text = (root / "report" / "results.md").read_text()
    for what in (
        "classification: AG_News, Amzn, Furd, ",
        "translation: iwslt14, ",
        "copying",
        "multi-head",
    ):
        assert what in text
    Page((root / "report" / "index.html").read_text())


class TestTask:
    @pytest.fixture
    def outputs(self, root) -> Path:
        outputs = root / "classification" / "outputs"
        results = {key("SNS"): summary(), key("Furd"): summary(0.805, agr_unif=0.255, xi_px=None)}
        write_pickle(results, outputs / "stats.pkl")
        write_pickle({}, outputs / "Furd_logs.pkl")
        write_pickle({}, outputs / "SNS_logs.pkl")
        (outputs / "Furd_dynamics.png").write_bytes(b"a picture")
        (outputs / "Furd_explorer.html").write_text("<p>a page")
        return outputs

    def test_results(self, root, report, outputs):
        report()
        text = (root / "report" / "results.md").read_text()
        furd = rows_of(text, "Furd | top 5% match | test_acc")
        assert furd[0] == [
            *("Furd", "top 5% match", "test_acc"),
            *("0.255 [0.150, 0.250]", "0.210", "0.220", "0.230", "0.070"),
        ]
        performances = text[text.index("| ξ(α, βᵘᶠ) |") :]
        furd = rows_of(performances, "Furd | top 5% match | test_acc")
        assert furd[0][3:] == ["0.403 (10% never)", "never", "0.403", "0.403", "0.805"]
        assert "1,000 resamples" in text
        assert "SNS | top 5% match" in text

    def test_beside_the_authors(self, root, report, outputs):
        """In the rows below; none for SNS, of which they report nothing, or for another metric."""
        results = {key("Furd"): summary(0.805, agr_unif=0.255, xi_px=None, xi_grad=None)}
        results |= {key("Furd", metric="pearson"): summary(), key("SNS"): summary()}
        write_pickle(results, outputs / "stats.pkl")
        report()
        text = (root / "report/results.md").read_text()
        ours, theirs, difference, next_one, *_ = rows_of(text, "Furd | top 5% match | test_acc")
        assert ours[3:5] == ["0.255 [0.150, 0.250]", "0.210"]
        assert theirs[2:5] == ["authors", "0.198", "0.336"] and theirs[6] == ""
        assert difference[2:5] == ["difference", "+0.057", "-0.126"] and difference[6] == ""
        assert next_one[:2] == ["Furd", "pearson"]
        assert text.count("| authors |") == 2  # of the agreements, and of the performances
        performances = text[text.index("| ξ(α, βᵘᶠ) |") :]
        ours, theirs, difference, *_ = rows_of(performances, "Furd | top 5% match | test_acc")
        assert ours[4:6] == ["never", "never"]
        assert theirs[4:6] == ["never", "0.782"] and difference[4:6] == ["", ""]
        assert (ours[-1], theirs[-1], difference[-1]) == ("0.805", "0.835", "-0.030")

    def test_figures_and_explorers_are_copied(self, root, report, outputs):
        report()
        folder = root / "report"
        targets = Page((folder / "index.html").read_text()).targets
        picture, page = "classification_Furd_dynamics.png", "classification_Furd_explorer.html"
        assert [target for target in targets if target[0] != "#"] == [picture, picture, page]
        assert (folder / picture).read_bytes() == b"a picture"
        assert (folder / page).read_text() == "<p>a page"
        text = (folder / "results.md").read_text()
        assert f"]({picture})" in text and f"]({page})" in text

    def test_a_figure_for_each_screen(self, root, report, outputs):
        """SVG before PNG, variants by the screen, the other files as links."""
        for name in ("dynamics.svg", "dynamics.csv", "dynamics_dark.svg", "dynamics_column.png"):
            (outputs / f"Furd_{name}").write_bytes(b"of another kind")
        report()
        page = (root / "report" / "index.html").read_text()
        prefix = "classification_Furd_dynamics"
        shown = re.findall(r'<source media="(.*?)" srcset="(.*?)">', page)
        assert shown == [
            ("(max-width: 40rem)", f"{prefix}_column.png"),
            ("(prefers-color-scheme: dark)", f"{prefix}_dark.svg"),
        ]
        assert f'<img src="{prefix}.svg"' in page
        links = [target for target in Page(page).targets if target.startswith(f"{prefix}.")]
        assert links == [f"{prefix}.{kind}" for kind in ("svg", "svg", "png", "csv")]
        # a variant that was not drawn again is as old as it is
        os.utime(outputs / "Furd_dynamics_dark.svg", (1, 1))
        report()
        text = (root / "report" / "results.md").read_text()
        assert "Figure of Furd, dynamics: older than its dump" in text

    def test_contents(self, root, report, outputs):
        """Every heading below the first, with links that lead there in both formats."""
        report()
        folder = root / "report"
        links = re.findall(r"^ *- \[(.*?)\]\(#(.*?)\)", (folder / "results.md").read_text(), re.M)
        assert ("Classification", "classification") in links
        page = (folder / "index.html").read_text()
        headings = re.findall(r'<h[23] id="(.*?)">(.*?)</h', page)
        assert [(text, anchor) for anchor, text in headings] == links
        assert len({anchor for anchor, _ in headings}) == len(headings)

    def test_commit_and_commands(self, root, report, outputs):
        report()
        text = (root / "report" / "results.md").read_text()
        assert "Commit: unknown" in text  # a folder without git, whatever lies above it
        assert "cd classification\n./train_runs.sh Furd SNS\n" in text
        assert "./logistic_runs.sh Furd SNS\n" in text
        git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=b"]
        subprocess.run([*git, "init", "-q"], check=True)
        commit = [*git, "commit", "-q", "--allow-empty", "-m", "empty"]
        subprocess.run(commit, check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout
        report()
        text = (root / "report" / "results.md").read_text()
        found = re.search(r"Commit: (\w+)$", text, re.M)
        assert found and head.startswith(found[1])

    def test_what_is_missing_is_named(self, root, report, outputs):
        (outputs / "stats.pkl").unlink()
        report()
        text = (root / "report" / "results.md").read_text()
        assert "| classification: results of Furd |" in text
        assert "| classification: figure of Furd, sentence |" in text
        assert "| classification: figure of Furd, dynamics |" not in text
        assert "| classification: explorer of SNS | cd classification; python explore.py" in text

    def test_two_names_of_one_dataset(self, root, report, outputs):
        """What was run as SMS is shown as that, and SNS is not missed."""
        (outputs / "SNS_logs.pkl").rename(outputs / "SMS_logs.pkl")
        write_pickle({key("SMS"): summary()}, outputs / "stats.pkl")
        (outputs / "SMS_explorer.html").write_text("<p>of SMS")
        report()
        text = (root / "report" / "results.md").read_text()
        assert "SMS | top 5% match" in text and "SNS" not in text
        assert "cd classification; python plot_dynamics.py --datasets SMS" in text
        copied = root / "report" / "classification_SMS_explorer.html"
        assert copied.read_text() == "<p>of SMS"
        (outputs / "SMS_logs.pkl").unlink()
        report()
        text = (root / "report" / "results.md").read_text()
        assert "classification: AG_News, Amzn, IMDB, Newsgroups, SNS, Yelp, toy |" in text

    def test_the_newest_results_count(self, root, report, outputs):
        write_pickle({key("Furd"): summary(agr_unif=0.111)}, outputs / "old_stats.pkl")
        os.utime(outputs / "old_stats.pkl", (1, 1))
        report()
        assert "0.111" not in (root / "report" / "results.md").read_text()
        os.utime(outputs / "old_stats.pkl")
        os.utime(outputs / "stats.pkl", (2, 2))
        report()
        assert "0.111" in (root / "report" / "results.md").read_text()

    def test_leftovers_are_not_picked_up(self, root, report, outputs):
        """Names without an entry in the table or data of their own, and files of other names."""
        report()
        before = files_in(root / "report")
        write_pickle({key("mine"): summary()}, outputs / "my_stats.pkl")
        write_pickle({}, outputs / "old_Furd_logs.pkl")
        write_pickle([1], outputs / "stats_of_words.pkl")
        (outputs / "old_Furd_dynamics.png").write_bytes(b"an older picture")
        (outputs / "Furd_dynamics_2.png").write_bytes(b"another picture")
        run = root / "classification/models/mine/h_dim=256"
        run.mkdir(parents=True)
        (run / "run.json").write_text("{")
        report()
        assert files_in(root / "report") == before

    def test_results_of_an_older_dump_are_marked(self, root, report, outputs):
        write_pickle({"id": "new"}, outputs / "Furd_logs.pkl")
        os.utime(outputs / "Furd_logs.pkl", (1, 1))
        results = {
            key("Furd"): summary(dump="old"),
            key("Furd", metric="pearson"): summary(dump="old"),
            key("SNS"): summary(dump="any"),  # its dump has no id to compare with
        }
        write_pickle(results, outputs / "stats.pkl")
        (outputs / "Furd_sentence.png").write_bytes(b"a picture")
        report()
        text = (root / "report" / "results.md").read_text()
        command = "cd classification; python collect_classification_stats.py --datasets Furd"
        said = f'> **Results of Furd (top 5% match, pearson): older than its dump: run "{command}'
        assert said + ' --out_file outputs/stats.pkl --include_pearson" again**' in text
        # its figure shows them; that of a sentence is drawn from the dump
        assert "> **Figure of Furd, dynamics: older than its dump" in text
        assert text.count("older than its dump") == 2
        page = (root / "report" / "index.html").read_text()
        Page(page)
        assert page.count('<p class="note">') == 2
        results |= {name: summary(dump="new") for name in results if name[0] == "Furd"}
        write_pickle(results, outputs / "stats.pkl")
        report()
        assert "older" not in (root / "report" / "results.md").read_text()

    def test_results_of_the_present_dump_win(self, root, report, outputs):
        write_pickle({"id": "new"}, outputs / "Furd_logs.pkl")
        os.utime(outputs / "Furd_logs.pkl", (1, 1))
        write_pickle({key("Furd"): summary(dump="new", agr_unif=0.321)}, outputs / "stats.pkl")
        os.utime(outputs / "stats.pkl", (1, 1))
        write_pickle({key("Furd"): summary(dump="old", agr_unif=0.456)}, outputs / "a_stats.pkl")
        report()
        text = (root / "report" / "results.md").read_text()
        assert "0.321" in text and "0.456" not in text and "older" not in text

    def test_figures_and_explorers_older_than_their_dump_are_marked(self, root, report, outputs):
        os.utime(outputs / "Furd_explorer.html", (1, 1))
        report()
        text = (root / "report" / "results.md").read_text()
        command = "cd classification; python explore.py --dataset Furd"
        said = f'> **Explorer of Furd: older than its dump: run "{command}" again**'
        assert said in text and text.count("older") == 1
        os.utime(outputs / "Furd_dynamics.png", (1, 1))
        report()
        text = (root / "report" / "results.md").read_text()
        command = "cd classification; python plot_dynamics.py --datasets Furd"
        said = f'> **Figure of Furd, dynamics: older than its dump: run "{command}" again**'
        assert said in text and text.count("older") == 2
        # a report that is written does not make them younger
        os.utime(outputs / "Furd_logs.pkl", (1, 1))
        report()
        assert "older" not in (root / "report" / "results.md").read_text()

    def test_percent(self, root, report):
        results = {
            key("multi30k", "val_acc"): summary(61.26),
            key("multi30k", "val_bleu"): summary(30),
        }
        write_pickle(results, root / "translation" / "outputs" / "stats.pkl")
        report()
        text = (root / "report/results.md").read_text()
        performances = text[text.index("| ξ(α, βᵘᶠ) |") :]
        ours, theirs, difference, bleu = rows_of(performances, "multi30k | top 5% match | val_acc")
        assert (ours[-1], theirs[-1], difference[-1]) == ("61.3", "66.3", "-5.0")
        assert bleu[2] == "val_bleu"

    def test_runs(self, root, report):
        """Time and disk, and which runs are not finished."""
        made_with = {"python": "3.11.7", "torch": "2.13.0", "device": "cpu", "threads": 1}
        for seed, planned in ((20, 4000), (21, 6000)):
            run = root / f"classification/models/SNS/h_dim=256,b_size=32,seed={seed},normal"
            run.mkdir(parents=True)
            record = {"settings": {}, "step": 4000, "seconds": 90, "made_with": made_with}
            content = json.dumps(record | {"steps": planned})
            (run / "run.json").write_text(content)
            (run / "model3999").write_bytes(b"x" * (2_000_000 - len(content)))
        report()
        text = (root / "report" / "results.md").read_text()
        assert rows_of(text, "SNS | 2") == [["SNS", "2", "3.0", "4.0", "-"]]
        finished, unfinished = rows_of(text, "SNS | h_dim=256, b_size=32, seed=20, normal")
        assert finished[2:] == ["4,000", "1.5", "2.0", "cpu, 1 thread(s)", "3.11.7, 2.13.0"]
        assert unfinished[2] == "4,000 of 6,000, unfinished"

    def test_names_are_escaped(self, root, report, outputs):
        write_pickle({key("Furd", metric="<b>|x"): summary()}, outputs / "stats.pkl")
        report()
        page = (root / "report" / "index.html").read_text()
        assert "&lt;b&gt;|x" in page and "<b>" not in page
        assert "&lt;b>\\|x" in (root / "report" / "results.md").read_text()

    @pytest.mark.parametrize(
        "content", [b"no pickle", pickle.dumps([1]), pickle.dumps({key("x"): {}})]
    )
    def test_damaged_results(self, root, report, outputs, content):
        (outputs / "stats.pkl").write_bytes(content)
        before = files_in(root)
        assert_one_line(report(), "stats.pkl")
        assert files_in(root) == before

    @pytest.mark.parametrize("content", ["{", "[]", "{}"])
    def test_a_damaged_record_of_a_run(self, root, report, content):
        run = root / "classification/models/SNS/h_dim=256,b_size=32,seed=20,normal"
        run.mkdir(parents=True)
        (run / "run.json").write_text(content)
        assert_one_line(report(), "run.json", "delete it")

    def test_no_gradient_influence(self, root, report, outputs):
        """A dash where there is no agreement; "never" is for ξ alone."""
        write_pickle({key("Furd"): summary(agr_grad=None, xi_grad=None)}, outputs / "stats.pkl")
        report()
        text = (root / "report/results.md").read_text()
        performances = text[text.index("| ξ(α, βᵘᶠ) |") :]
        for table in (text, performances):
            assert rows_of(table, "Furd | top 5% match | test_acc")[0][5] == "-"


def history(*accuracies: float) -> dict:
    columns = {name: [0.0] * len(accuracies) for name in COLUMNS}
    steps = list(range(0, 10 * len(accuracies), 10))
    heads = [[0.0, 0.0]] * len(accuracies)
    return columns | {
        "step": steps,
        "token_accuracy": list(accuracies),
        "attention_accuracy_heads": heads,
    }


class TestCopying:
    def test_seeds_that_learned(self, root, report):
        histories = {0: history(0, 0.96, 0.97), 1: history(0, 0.5, 0.99), 2: history(0, 0.1, 0.2)}
        path = root / "SequenceCopying" / "logs" / "seq2seq,no_rep.pkl"
        write_pickle({"settings": {}, "histories": histories}, path)
        report()
        (row,) = rows_of((root / "report" / "results.md").read_text(), "seq2seq, no_rep")
        assert row[1:] == ["2 of 3", "15", "0.970 (0.200 to 0.990)"]

    def test_heads(self, root, report):
        bad = {(0, 1): history(0, 0.3), (0, 2): history(0, 0.5)}
        curves = bad, {(0, 3): history(0, 0.98)}, {(1, 2): history(0, 0.7)}
        write_pickle(curves, root / "SequenceCopying" / "re_8headcomb.pkl")
        report()
        rows = rows_of((root / "report" / "results.md").read_text(), "2 bad heads")
        assert rows == [
            ["2 bad heads", "2", "0.400", "0.141"],
            ["1 good, 1 bad heads", "1", "0.980", "-"],
            ["2 random heads", "1", "0.700", "-"],
        ]

    def test_too_few_heads_to_combine(self, root, report):
        curves = {}, {}, {(1, 2): history(0, 0.7)}
        write_pickle(curves, root / "SequenceCopying" / "re_8headcomb.pkl")
        report()
        rows = rows_of((root / "report" / "results.md").read_text(), "2 bad heads")
        assert rows[0] == ["2 bad heads", "0", "-", "-"]

    def test_figures(self, root, report):
        """Those of the default style and width, and a mark where learning curves are newer."""
        folder = root / "SequenceCopying"
        write_pickle({"settings": {}, "histories": {0: history(0, 1)}}, folder / "logs/a.pkl")
        (folder / "outputs").mkdir()
        for name in ("toy.svg", "toy.png", "toy_dark.svg", "my_dark.png"):
            (folder / "outputs" / name).write_bytes(b"a picture")
        report()
        text = (root / "report" / "results.md").read_text()
        assert re.findall(r"!\[.*?\]\((.*?)\)", text) == ["copying_my_dark.png", "copying_toy.svg"]
        assert "newer" not in text
        os.utime(folder / "outputs" / "toy.svg", (1, 1))
        report()
        text = (root / "report" / "results.md").read_text()
        assert text.count("newer") == 1 and "> **Figure toy: some learning curves are newer" in text

    def test_the_figure_of_the_law(self, root, report):
        """It is not of seq2seq.py's learning curves: another caption, and these may be newer."""
        folder = root / "SequenceCopying"
        write_pickle({"settings": {}, "histories": {0: history(0, 1)}}, folder / "logs/a.pkl")
        (folder / "outputs").mkdir()
        for name in ("law.svg", "law.csv", "law_fit.csv"):
            (folder / "outputs" / name).write_bytes(b"something")
        os.utime(folder / "outputs" / "law.svg", (1, 1))
        report()
        text = (root / "report" / "results.md").read_text()
        assert "law: updates until a model copies" in text and "newer" not in text

    @pytest.mark.parametrize(
        "stem",
        [
            "a#b?c%41",
            "<b>x",
            "a](javascript:x) [y",
            'q"uote, 2x',
            "two\nlines",
            b"caf\xe9",
            "x&lt;y",
        ],
    )
    def test_names_of_files(self, root, report, stem):
        """Links lead to the files, and no name is read as HTML or Markdown."""
        folder = root / "SequenceCopying"
        folder.joinpath("outputs").mkdir(parents=True)
        stem = os.fsdecode(stem)
        for ending in (".svg", ".csv", "_dark.svg"):
            (folder / "outputs" / f"{stem}{ending}").write_bytes(b"a picture")
        write_pickle({"settings": {}, "histories": {0: history(1)}}, folder / f"logs/{stem}.pkl")
        assert report()[0] == 0
        page = Page((root / "report" / "index.html").read_text())
        assert not {"b", "script"} & set(page.tags)
        text = (root / "report" / "results.md").read_text()
        assert not re.search(r"<[a-z]|\]\(javascript", text)
        in_text = re.findall(r"\]\(([^#].*?)\)", text)
        assert len(in_text) == 3
        for links in (in_text, [link for link in page.targets if not link.startswith("#")]):
            assert {unquote_to_bytes(link) for link in links} >= {
                os.fsencode(f"copying_{stem}{ending}") for ending in (".svg", ".csv")
            }
            for link in links:
                assert (root / "report" / os.fsdecode(unquote_to_bytes(link))).is_file()
                assert not re.search(r"[\s,#?<>]", link)

    @pytest.mark.parametrize("name", ["logs/seq2seq.pkl", "re_8headcomb.pkl"])
    @pytest.mark.parametrize("content", [[], {}, {"settings": {}, "histories": []}, ({}, {}, {})])
    def test_foreign_files(self, root, report, name, content):
        write_pickle(content, root / "SequenceCopying" / name)
        assert_one_line(report(), Path(name).name, "learning curves")


def test_written_again_it_is_the_same(root, report):
    report()
    before = files_in(root)
    report()
    assert files_in(root) == before


def test_another_folder(root, report, tmp_path):
    report("--out_dir", tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "index.html").exists()
    assert not (root / "report").exists()


def test_no_such_root(report, tmp_path):
    assert_one_line(report("--root", tmp_path / "nothing"), "--root", "classification")
