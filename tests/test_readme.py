"""Every command in the README works as it stands, and docs/flags.md has every flag."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, call_script, copy_source, load_script, write_json, write_list

README = (ROOT / "README.md").read_text()
TASKS = ("classification", "translation", "SequenceCopying")
SETUP = {"./quickstart.sh", "./run_tests.sh"}  # they install and run everything: .ci/run calls them
REAL = {"IMDB", "Furd", "SNS", "multi30k"}
TINY = {
    "classification": {"h_dim": 16, "intermediate_dim": 8, "embed_dim": 8, "b_size": 32},
    "translation": {"h_dim": 8, "dropout": 0.5, "n_layers": 2, "b_size": 64},
}
SMALLER = {"--steps": "20", "--epochs": "1"}
SEEDS = ("--seed 20", "--seed 13", "--seed 12 --uniform")
CALLED = {
    ("classification", "./train_runs.sh"): [
        f"python train_classifier.py --dataset toy --steps 20 {seed}" for seed in SEEDS
    ],
    ("classification", "./dump_logs.sh"): ["python eval_dump.py --dataset toy"],
    ("classification", "./embedding_runs.sh"): [
        "python embedding_beta.py --dataset toy --epochs 1 --lr 0.00005"
    ],
    ("classification", "./logistic_runs.sh"): ["python logistic_beta.py --dataset toy"],
    ("translation", "./train_runs.sh"): [
        f"python train_translation.py --dataset toy --epochs 1 {seed}" for seed in SEEDS
    ],
    ("translation", "./dump_logs.sh"): [
        "python eval_dump.py --dataset toy --eval_bleu --include_train_subset"
    ],
    ("translation", "./embedding_runs.sh"): ["python embedding_beta.py --dataset toy"],
}
COPYING = "--steps 2 --eval_every 1 --hidden_dim 8 --bsize 4 --jobs 1 --seq_length 4"
MORE = {
    "train_classifier.py": "--custom_saves 0,10",
    "train_translation.py": "--custom_saves 0,10",
    "seq2seq.py": f"{COPYING} --seeds 2",
    "law.py": "--max_steps 4 --eval_every 2 --hidden_dim 8 --bsize 4 --jobs 1 --seeds 2 "
    "--lengths 2 3 --vocabs 4",
    "multihead.py": f"{COPYING} --num_vocab 4 --n_heads 2 --good_heads 1 --bad_heads 2 --samples 1 "
    "--random_heads 2 --data_seeds 1 --learned 0.25 --failed 0.25 --max_heads 30",
}


def commands() -> list[tuple[str, str]]:
    """The command lines of the README, each with the folder that it is typed in."""
    found = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        if language:  # Python, and your own data: tests of docs/notebook.md and docs/own_data.md
            continue
        lines = re.sub(r"\\\n\s*", "", block).splitlines()
        if not any(line.startswith(("python ", "./", "cd ", "JOBS=")) for line in lines):
            continue  # what a command prints
        folder = "."
        for line in lines:
            line = line.split("  #")[0].strip()
            if line.startswith("cd "):
                folder = line.removeprefix("cd ")
            elif line and line not in SETUP:
                if folder == ".":  # "cd classification first": the stages are there
                    folder = folder_of(line, found)
                found.append((folder, line))
    return found


def folder_of(line: str, before: list[tuple[str, str]]) -> str:
    """Where a command stands that no ``cd`` precedes: its section's folder, or the root."""
    script = next(word for word in shlex.split(line) if word.endswith((".py", ".sh")))
    if (ROOT / script).exists():
        return "."
    return before[-1][0]


def test_the_readme_has_commands():
    assert "@@" not in README  # a gap left for a figure
    folders = {folder for folder, _ in commands()}
    assert folders == {".", *TASKS}
    assert len(commands()) > 25


@pytest.mark.parametrize(
    ("folder", "line"), [pair for pair in commands() if ".sh" in pair[1]], ids=lambda value: value
)
def test_bash_commands(folder, line):
    """They name known datasets, and every stage that they would call takes its flags."""
    printed = subprocess.run(
        ["bash", "-c", line + ("" if "--dry-run" in line else " --dry-run")],
        cwd=ROOT / folder,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout.splitlines()
    here = folder
    n_stages = 0
    for command in printed:
        words = shlex.split(command, comments=True)  # a comment is what the command will take
        if not words:
            continue
        if words[0] == "cd":
            here = folder if words[1] == ".." else words[1]
            continue
        assert words[0] == "python"
        parse(here, words[1:])
        n_stages += 1
    assert n_stages > 0


def parse(folder: str, words: list[str]) -> None:
    """Let the script parse its flags, and do nothing else."""
    module = load_script(folder, Path(words[0]).stem)
    argv = sys.argv
    sys.argv = words
    try:
        if "argv" in getattr(module.parse_args, "__code__", parse.__code__).co_varnames[:1]:
            module.parse_args(words[1:])
        else:
            module.parse_args()
    finally:
        sys.argv = argv


def on_toy(line: str) -> list[str]:
    """A Python command on the toy data and in small: the same script and flags."""
    words = shlex.split(line)[1:]
    words = ["toy" if word in REAL else word for word in words]
    for i, word in enumerate(words[:-1]):
        words[i + 1] = SMALLER.get(word, words[i + 1])
    return words + MORE.get(words[0], "").split()


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """The repository's files, with models so small that every stage takes a moment."""
    target = tmp_path_factory.mktemp("clone")
    copy_source(target, without=("tests",))
    for task, sizes in TINY.items():
        write_json(target / task / "configs" / "model.json", sizes)
        write_list(target / task / "configs" / "toy.json", (0, 10))
    return target


@pytest.mark.slow
def test_python_commands(clone, capsys, monkeypatch):
    """Each on toy data in the place of real, in their order, as one who follows the README does."""
    done = set()
    for folder, line in commands():
        monkeypatch.chdir(clone / folder)
        called = CALLED.get((folder, line.split()[0]), [])  # by a bash script; few of them
        stages = [line] if line.startswith("python ") else called
        for stage in stages:
            words = on_toy(stage)
            if words[0] in (
                "compare.py",
                "settings.py",
            ):  # the second folder is of models not trained here
                shutil.copytree(clone / folder / words[1], words[2], dirs_exist_ok=True)
            result = call_script(str(clone / folder), words[0], *words[1:], capsys=capsys)
            assert result[0] == 0, (folder, stage, *result)
            done.add(f"{folder}/{words[0]}")
    for task in TINY:
        for name in ("stats.pkl", "toy_dynamics.pdf", "toy_sentence.png", "toy_explorer.html"):
            assert (clone / task / "outputs" / name).exists()
    assert (clone / "SequenceCopying" / "re_8headcomb.pkl").exists()
    assert (clone / "report" / "index.html").exists()
    stages = {f"{task}/{path.name}" for task in TASKS for path in scripts(task)}
    assert stages - done == {"translation/collect_classification_stats.py"}  # an alias


def scripts(task: str) -> list[Path]:
    """The scripts of a folder that are run, not imported."""
    paths = sorted((ROOT / task).glob("*.py"))
    return [path for path in paths if '__name__ == "__main__"' in path.read_text()]


@pytest.mark.parametrize("task", [*TASKS, "results"])
def test_flags_are_in_the_table(task, capsys):
    """Every flag that --help shows is in docs/flags.md; folders and device are there once."""
    text = (ROOT / "docs" / "flags.md").read_text()
    everywhere = {"--help", "--device", *re.findall(r"--\w+_dir\b", text)}
    documented = set(re.findall(r"--\w+", text))
    for path in scripts(task):
        status, out, _ = call_script(task, path.name, "--help", capsys=capsys)
        assert status == 0
        shown = set(re.findall(r"--\w+", out))
        assert "--help" in shown and len(shown) > 1
        assert shown - everywhere <= documented, path.name
        assert path.name in text or path.name == "collect_classification_stats.py"
