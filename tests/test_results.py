"""results/: RESULTS.md, the page and README.md have the CSVs' numbers; reproduce.py makes CSVs."""

import csv
import os
import re
from pathlib import Path

import pytest
from conftest import ROOT, assert_one_line, call_script, load_script, run_script

RESULTS = ROOT / "results"
TEMPLATES = sorted(RESULTS.glob("*.j2"))
# Sections of RESULTS.md whose numbers are not in CSVs yet: they are to be measured again.
NOT_YET = {
    "## Sequence copying",
    "## Translation: multi30k, 6,000 steps",
    "## Classification: IMDB, 300 steps",
    "## Speed",
}
MEASURED = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])|±")


@pytest.fixture(scope="module")
def make():
    return load_script("results", "make")


@pytest.fixture(scope="module")
def reproduce():
    return load_script(".", "reproduce")


def copy_results(target: Path) -> Path:
    for path in RESULTS.iterdir():
        if path.is_file():
            (target / path.name).write_bytes(path.read_bytes())
    return target


# The numbers in the text


def test_every_number_is_that_of_the_csvs(capsys):
    status, out, err = call_script("results", "make.py", "--check", capsys=capsys)
    assert status == 0, err
    assert "RESULTS.md: the same" in out and "README.md: the same" in out


def test_another_number_in_a_csv_is_noticed(make, tmp_path, monkeypatch):
    copy_results(tmp_path)
    monkeypatch.setattr(make, "HERE", tmp_path)
    before = make.texts()
    path = tmp_path / "Furd_interventions.csv"
    lines = path.read_text().splitlines()
    (place,) = [place for place, line in enumerate(lines) if ",attend_to,rise_normal," in line]
    with path.open("w", newline="") as file:
        cells = next(csv.reader([lines[place]]))
        cells[6] = str(float(cells[6]) + 2)
        lines[place] = ",".join(cells)
        file.write("\n".join(lines) + "\n")
    after = make.texts()
    (changed,) = [path for path in before if before[path] != after[path]]
    assert changed.name == "RESULTS.md"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_words_hold_no_measured_number(template):
    section = ""
    fenced = False
    for number, line in enumerate(template.read_text().splitlines(), start=1):
        if line.startswith("```"):
            fenced = not fenced
        if line.startswith("## "):
            section = line
        if fenced or section in NOT_YET:
            continue
        words = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|`[^`]*`|\]\([^)]*\)", "", line)
        words = re.sub(r"arXiv:\S+|torch \S+|CC BY \S+", "", words)
        assert not MEASURED.search(words), f"{template.name}:{number}: {line}"


def test_a_template_that_asks_for_what_is_not_there(make, tmp_path, monkeypatch):
    copy_results(tmp_path)
    monkeypatch.setattr(make, "HERE", tmp_path)
    (tmp_path / "README.md.j2").write_text('{{ row("Furd_encoders.csv", setting="none").mean }}')
    with pytest.raises(make.InputError, match=r"README.md.j2.*Furd_encoders.csv has no line"):
        make.texts()


def test_the_table_of_settings_is_what_settings_py_prints(make):
    table = make.settings_table("Furd_encoders.csv").splitlines()
    assert table[0] == "Furd, top 5% match, test_acc, val sentences"
    with (RESULTS / "Furd_encoders.csv").open() as file:
        for row in csv.DictReader(file):
            if (row["setting"], row["figure"]) == ("gru", "agr_unif"):
                half = float(row["high"]) - float(row["mean"])
                assert f"{float(row['mean']):.3f} ± {half:.3f}" in "\n".join(table)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.19849, "0.198"), (-0.0001, "0.000"), (None, "never"), (1234.5, "1,234.500")],
)
def test_digits(make, value, shown):
    assert make.digits(value) == shown


# reproduce.py, all of which test_own_data.py runs


def test_stages_of_both_tasks(reproduce, tmp_path):
    task, corpus = reproduce.find("Newsgroups", None)
    source = tmp_path / "news.tar.gz"
    found = dict(reproduce.stages(task, corpus, tmp_path, source))
    assert list(found) == [
        *("prepare_data", "train_runs", "dump_logs", "embedding_runs", "logistic_runs"),
        *("collect", "plot_dynamics"),
    ]
    assert found["prepare_data"][-2:] == ["--source", str(source)]
    task, corpus = reproduce.find("multi30k", None)
    found = dict(reproduce.stages(task, corpus, tmp_path, None))
    assert "logistic_runs" not in found
    assert found["prepare_data"][-1] == "multi30k"  # a download
    assert "--include_bleu_results" in found["collect"]


def test_data_that_are_there_are_not_prepared_again(reproduce, tmp_path):
    task, corpus = reproduce.find("SNS", None)
    (tmp_path / "SMS_train.json").write_text("{}")
    assert "prepare_data" not in dict(reproduce.stages(task, corpus, tmp_path, None))
    assert "prepare_data" in dict(reproduce.stages(task, corpus, tmp_path, tmp_path))


def test_costs_add_up_over_calls(reproduce, tmp_path, capsys):
    costs = {}
    for _ in range(2):
        command = ["python", "-c", "print('done'); x = bytearray(100 << 20)"]
        said = reproduce.run("train_runs", command, tmp_path, dict(os.environ), costs)
        assert said == "done\n"
    cost = costs["train_runs"]
    assert cost.peak_mib >= 100
    assert cost.command.startswith("python -c")
    once = cost.cpu_seconds
    reproduce.run(
        "train_runs", ["python", "-c", "sum(range(10**7))"], tmp_path, dict(os.environ), costs
    )
    assert costs["train_runs"].cpu_seconds > once
    assert len(costs) == 1


def test_a_stage_that_fails_ends_it(reproduce, tmp_path):
    costs = {}
    with pytest.raises(reproduce.InputError, match="dump_logs ended with 3"):
        reproduce.run("dump_logs", ["python", "-c", "exit(3)"], tmp_path, dict(os.environ), costs)
    assert "dump_logs" in costs  # what it took is kept


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--dataset", "none"], ["none"]),
        (["--dataset", "toy"], ["both tasks have it", "--task"]),
        (["--dataset", "SNS", "--source", "nowhere.zip"], ["nowhere.zip", "no such file"]),
        (["--dataset", "SNS", "--jobs", "0"], ["--jobs"]),
    ],
)
def test_bad_input(flags, words, tmp_path):
    assert_one_line(run_script(".", "reproduce.py", *flags, cwd=tmp_path), *words)
