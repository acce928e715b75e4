"""results/: RESULTS.md, the page and README.md have the CSVs' numbers; reproduce.py makes CSVs."""

import csv
import re
import resource
import shlex
import signal
from argparse import Namespace
from pathlib import Path

import pytest
from conftest import ROOT, assert_one_line, call_script, load_script, make_zip
from test_comparison import write_setting

RESULTS = ROOT / "results"
TEMPLATES = sorted(RESULTS.glob("*.j2"))
MEASURED = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])|± ?\d")


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
    changed = {path.name for path in before if before[path] != after[path]}
    assert changed == {"RESULTS.md", "README.md"}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_words_hold_no_measured_number(template):
    fenced = False
    for number, line in enumerate(template.read_text().splitlines(), start=1):
        if line.startswith("```"):
            fenced = not fenced
        if fenced:
            continue
        words = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|`[^`]*`|\]\([^)]*\)", "", line)
        words = re.sub(r"arXiv:\S+|torch \S+|CC BY \S+", "", words)
        assert not MEASURED.search(words), f"{template.name}:{number}: {line}"


def test_a_template_that_asks_for_what_is_not_there(make, tmp_path, monkeypatch):
    copy_results(tmp_path)
    monkeypatch.setattr(make, "HERE", tmp_path)
    (tmp_path / "README_measured.md.j2").write_text(
        '{{ row("Furd_encoders.csv", setting="none").mean }}'
    )
    with pytest.raises(
        make.InputError, match=r"README_measured.md.j2.*Furd_encoders.csv has no line"
    ):
        make.texts()


def test_the_table_of_settings_is_what_settings_py_prints(make, tmp_path, monkeypatch, capsys):
    for name, seed in (("one", 0), ("two", 1)):
        write_setting(tmp_path / name, seed)
    path = tmp_path / "table.csv"
    flags = [tmp_path / "one", tmp_path / "two", "--dataset", "toy", "--out_file", path]
    status, out, err = call_script(
        "classification", "settings.py", *flags, "--formats", "png", capsys=capsys
    )
    assert status == 0, err
    monkeypatch.setattr(make, "HERE", tmp_path)
    assert out.startswith(make.settings_table("table.csv") + "\n")


def test_the_tables_of_copying_are_what_the_scripts_print(make, tmp_path, monkeypatch, capsys):
    """seq2seq.py, and law.py, from the CSVs that are written beside the figures."""
    folder = "SequenceCopying"
    places = ["--logs_dir", tmp_path, "--outputs_dir", tmp_path]
    small = ["--hidden_dim", "8", "--bsize", "4"]
    flags = ["--no_rep", "num_vocab=6", "seq_length=4", "--seeds", "2", *small, "--exp_name", "x"]
    status, printed, err = call_script(
        folder, "seq2seq.py", *flags, "--steps", "12", *places[:2], capsys=capsys
    )
    assert status == 0, err
    flags = ["--experiments", "x", "--name", "copying", "--formats", "png"]
    assert call_script(folder, "plot_copying.py", *flags, *places, capsys=capsys)[0] == 0
    monkeypatch.setattr(make, "HERE", tmp_path)
    assert printed.endswith("\n" + make.copying_table("copying.csv", "4 of 6 tokens") + "\n")

    flags = ["--num_vocab", "6", "--seq_length", "4", *small, "--steps", "12", *places[:2]]
    flags += ["--n_heads", "2", "--good_heads", "2", "--bad_heads", "2", "--random_heads", "3"]
    flags += ["--samples", "2", "--data_seeds", "2", "--max_heads", "4", "--failed", "0.6"]
    flags += ["--out_file", tmp_path / "heads.pkl"]
    status, printed, err = call_script(folder, "multihead.py", *flags, capsys=capsys)
    assert status == 0, err
    drawn = ["--combinations", tmp_path / "heads.pkl", "--name", "x", "--formats", "png", *places]
    assert call_script(folder, "plot_copying.py", *drawn, capsys=capsys)[0] == 0
    shown = [line for line in printed.splitlines() if not line.endswith(" 0")]  # of no heads
    assert "\n".join(shown).endswith("\n" + make.combinations_table("x_heads.csv"))
    status, printed, err = call_script(
        folder, "multihead.py", *flags, "--base_seeds", "0", "1", capsys=capsys
    )
    assert status == 0, err
    assert "\n" + make.survey_table("heads/survey.csv") + "\n" in printed

    grid = ["--lengths", "2", "3", "4", "--vocabs", "8", "--repetition", "tokens", "--seeds", "2"]
    grid += ["--max_steps", "60", "--attended", "0.1", "--learned", "0.2", "--resamples", "5"]
    flags = [*grid, *small, *places, "--formats", "png", "--jobs", "1"]
    status, printed, err = call_script(folder, "law.py", *flags, capsys=capsys)
    assert status == 0, err
    assert make.law_times("law.csv") + "\n\n" in printed
    assert make.law_fits("law_fit.csv") in printed
    assert make.law_fits("law_fit.csv", legend=True) + "\n" in printed


def test_readme_without_its_markers(make, tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("# no markers\n")
    monkeypatch.setattr(make, "ROOT", tmp_path)
    monkeypatch.setattr(make, "render", lambda name: "measured\n")
    with pytest.raises(make.InputError, match=r"README.md has no <!-- from results/TEMPLATE"):
        make.texts()


@pytest.mark.parametrize(
    ("value", "ends", "lies"),
    [
        (0.2, (0.1, 0.3), True),
        (0.3, (0.1, 0.2), False),
        (None, (0.1, 0.2), False),
        (None, (0.1, None), True),
        (None, (None, None), True),
        (0.3, (None, None), False),
    ],
)
def test_never_is_later_than_any_level(make, value, ends, lies):
    assert make.within(value, ends) is lies


def test_costs_of_stages_that_resume_add_up(make, tmp_path, monkeypatch):
    monkeypatch.setattr(make, "HERE", tmp_path)
    (tmp_path / "toy_costs.csv").write_text(
        "stage,started,commit,status,seconds,cpu_seconds,peak_mib,command\n"
        "train_runs,x,a1,-15,10.5,9.5,300,./train_runs.sh toy\n"
        "train_runs,x,b2,0,20.0,19.0,400,./train_runs.sh toy\n"
        "collect,x,b2,0,5.0,4.0,900,python collect\n"
        "collect,x,c3,0,6.0,5.0,100,python collect\n"
    )
    found = make.costs("toy")
    assert found["train_runs"]["cpu_seconds"] == 28.5
    assert found["collect"]["cpu_seconds"] == 5
    assert found["peak_mib"] == 900
    assert found["commits"] == ["a1", "b2"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.19849, "0.198"), (-0.0001, "0.000"), (None, "never"), (1234.5, "1,234.500")],
)
def test_digits(make, value, shown):
    assert make.digits(value) == shown


def test_phrases_of_the_treebank(tmp_path):
    """Every different labelled node of training trees; of the test trees, the sentences."""
    script = load_script("results", "why_furd")
    tree = "(3 (2 It) (4 (4 works) (2 (2 ``) (1 badly))))"
    assert list(script.nodes(tree)) == [
        (2, ["It"]),
        (4, ["works"]),
        (2, ['"']),
        (1, ["badly"]),
        (2, ['"', "badly"]),
        (4, ["works", '"', "badly"]),
        (3, ["It", "works", '"', "badly"]),
    ]
    trees = f"{tree}\n(2 (2 Well) (4 works))\n"
    archive = make_zip(tmp_path / "a.zip", {"trees/train.txt": trees, "trees/test.txt": trees})
    whole = ('It works " badly', "positive")
    phrases = [("works", "positive"), ("badly", "negative"), ('works " badly', "positive"), whole]
    assert script.phrases(archive, "train") == phrases
    assert script.phrases(archive, "test") == [whole]


# reproduce.py, all of which test_own_data.py runs


def arguments(**changes) -> Namespace:
    return Namespace(**{"task": None, "source": None, "runs": [], "train_flags": []} | changes)


def test_stages_of_both_tasks(reproduce, tmp_path):
    source = tmp_path / "news.tar.gz"
    task, corpus = reproduce.find(arguments(dataset="Newsgroups"))
    found = dict(reproduce.stages(task, corpus, tmp_path, arguments(source=source)))
    assert list(found) == [
        *("prepare_data", "train_runs", "dump_logs", "embedding_runs", "logistic_runs"),
        *("collect", "plot_dynamics"),
    ]
    assert found["prepare_data"][-2:] == ["--source", str(source)]
    task, corpus = reproduce.find(arguments(dataset="multi30k"))
    flags = arguments(train_flags=["--steps", "9"], runs=["uniform"])
    found = dict(reproduce.stages(task, corpus, tmp_path, flags))
    assert "logistic_runs" not in found
    assert found["prepare_data"][-1] == "multi30k"  # a download
    chosen = ["multi30k", "--runs", "uniform"]
    assert found["train_runs"] == ["./train_runs.sh", *chosen, "--steps", "9"]
    assert found["dump_logs"] == ["./dump_logs.sh", *chosen]
    assert "--include_bleu_results" in found["collect"]


def test_a_new_dataset_of_ones_own(reproduce):
    source = Path("mine.csv")
    task, corpus = reproduce.find(arguments(dataset="mine", task="translation", source=source))
    assert (task.name, corpus.name, corpus.own) == ("translation", "mine", True)
    with pytest.raises(reproduce.InputError, match="did you mean Furd"):
        reproduce.find(arguments(dataset="furd", task="classification", source=source))


def test_data_that_are_there_are_not_prepared_again(reproduce, tmp_path):
    task, corpus = reproduce.find(arguments(dataset="SNS"))
    (tmp_path / "SMS_train.json").write_text("{}")
    assert "prepare_data" not in dict(reproduce.stages(task, corpus, tmp_path, arguments()))
    again = arguments(source=tmp_path)
    assert "prepare_data" in dict(reproduce.stages(task, corpus, tmp_path, again))


def test_a_stage_is_measured(reproduce, tmp_path):
    costs = []
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10  # a child begins with it
    code = f"print('done'); x = bytearray({used + 100} << 20); sum(range(10**7))"
    for _ in range(2):
        assert reproduce.run("train_runs", ["python", "-c", code], tmp_path, 1, costs) == "done\n"
    assert [row["status"] for row in costs] == [0, 0]
    for row in costs:
        assert row["peak_mib"] >= used + 100
        assert 0.05 < float(row["cpu_seconds"]) <= 1.1 * float(row["seconds"]) + 0.1
        assert row["command"].startswith("python -c ")


def test_a_stage_that_fails_ends_it(reproduce, tmp_path):
    costs = []
    with pytest.raises(reproduce.InputError, match="dump_logs ended with 3"):
        reproduce.run("dump_logs", ["python", "-c", "exit(3)"], tmp_path, 1, costs)
    assert [(row["stage"], row["status"]) for row in costs] == [("dump_logs", 3)]


def test_a_signal_ends_the_stage_when_its_processes_have_saved(reproduce, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    costs = []
    training = "trap 'sleep 1; touch saved; exit' TERM; touch begun; while :; do sleep 0.1; done"
    stage = f"bash -c {shlex.quote(training)} >/dev/null & wait"  # as of jobs.sh, not on our pipe
    old = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        with pytest.raises(KeyboardInterrupt):
            reproduce.run("train_runs", ["bash", "-c", stage], tmp_path, 1, costs)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert {path.name for path in tmp_path.iterdir()} == {"begun", "saved"}
    assert costs[0]["status"] == -signal.SIGTERM


def test_costs_of_another_form(reproduce, tmp_path):
    path = tmp_path / "toy_costs.csv"
    assert reproduce.read_costs(path) == []
    path.write_text("stage,seconds\ntrain_runs,3\n")
    with pytest.raises(reproduce.InputError, match="has not the columns stage started"):
        reproduce.read_costs(path)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--dataset", "none"], ["none", "--task and --source"]),
        (["--dataset", "toy"], ["both tasks have it", "--task"]),
        (["--dataset", "SNS", "--source", "nowhere.zip"], ["nowhere.zip", "no such file"]),
        (["--dataset", "SNS", "--jobs", "0"], ["--jobs"]),
        (["--dataset", "SNS", "--train_flags=--steps 10"], ["--out_dir"]),
        (["--dataset", "SNS", "--runs", "uniform"], ["--runs", "--out_dir"]),
        (["--dataset", "SNS", "--runs", "uniform", "--out_dir", "results"], ["--out_dir"]),
        (["--dataset", "SNS", "--runs", "uniform", "--out_dir", "x"], ["no run called normal_a"]),
        (["--dataset", "SNS", "--train_flags=--attend_to 3", "--out_dir", "x"], ["--attend_to"]),
        (["--dataset", "SNS", "--train_flags=--config=x", "--out_dir", "x"], ["--config"]),
    ],
)
def test_bad_input(flags, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(RESULTS)
    assert_one_line(call_script(".", "reproduce.py", *flags, capsys=capsys), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
