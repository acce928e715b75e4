"""The bash scripts: the commands they run, at once or one by one, and what they say of a failure.

A stand-in for Python records how it was called, so that nothing is trained here.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, copy_source

PUBLISHED = ["IMDB", "Furd", "AG_News", "Newsgroups", "Yelp", "Amzn", "SNS"]
SEEDS = [20, 13, 14, 15, 16, 17, 12]


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """A dry run's output without its comments, which are test_estimates.py's."""
    end = subprocess.run(
        [str(ROOT / script), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "--dry-run" in arguments:
        end.stdout = re.sub(r"(?m)^# .*\n| *  # .*$", "", end.stdout)
    return end


@pytest.fixture
def python(tmp_path) -> Path:
    """Writes its arguments and OMP_NUM_THREADS to ``calls``; fails for seed 14.

    What is asked of the grid goes to the real interpreter.
    """
    script = tmp_path / "python"
    script.write_text(
        "#!/bin/sh\n"
        f'case "$*" in "-m attention_dynamics.grid "*) exec {sys.executable} "$@" ;; esac\n'
        f'echo "$PWD threads=$OMP_NUM_THREADS $*" >>{tmp_path}/calls\n'
        'echo "said: $*"\n'
        'case "$*" in *"--seed 14"*) exit 3 ;; esac\n'
    )
    script.chmod(0o755)
    return script


def calls(python: Path) -> list[str]:
    return (python.parent / "calls").read_text().splitlines()


def test_published_training_commands():
    lines = run("classification/train_runs.sh", "--dry-run", "SNS").stdout.splitlines()
    assert lines == [
        f"python train_classifier.py --dataset SNS --seed {seed} --steps 4000 --save_every 250 "
        "--custom_saves 0,10,50,100,150,200,250" + (" --uniform" if seed == 12 else "")
        for seed in SEEDS
    ]


def test_all_datasets_when_none_is_named():
    lines = run("classification/train_runs.sh", "--dry-run").stdout.splitlines()
    assert len(lines) == 7 * len(PUBLISHED)
    assert [line.split()[3] for line in lines[::7]] == PUBLISHED
    lines = run("classification/dump_logs.sh", "--dry-run").stdout.splitlines()
    assert lines == [f"python eval_dump.py --dataset {name}" for name in PUBLISHED]


def test_published_word_baselines():
    lines = run("classification/embedding_runs.sh", "--dry-run", "IMDB", "SNS").stdout.splitlines()
    assert lines == [
        "python embedding_beta.py --dataset IMDB --epochs 60 --lr 0.00005",
        "python embedding_beta.py --dataset SNS --epochs 60 --lr 0.00015",
    ]


def test_logistic_baselines(python):
    lines = run("classification/logistic_runs.sh", "--dry-run").stdout.splitlines()
    assert lines == [f"python logistic_beta.py --dataset {name}" for name in PUBLISHED]
    end = run("classification/logistic_runs.sh", "toy", "Furd", JOBS="2", PYTHON=str(python))
    assert end.returncode == 0, end.stderr
    assert sorted(line.split("logistic_beta.py ")[1] for line in calls(python)) == [
        "--dataset Furd",
        "--dataset toy",
    ]


@pytest.mark.parametrize(
    "script", ["train_runs.sh", "dump_logs.sh", "embedding_runs.sh", "logistic_runs.sh"]
)
@pytest.mark.slow
def test_sms_is_another_name_of_sns(script):
    """The stages are called with the name that was asked for, in the same way otherwise."""
    sms = run(f"classification/{script}", "--dry-run", "SMS").stdout
    sns = run(f"classification/{script}", "--dry-run", "SNS").stdout
    assert "SMS" not in sns and sms == sns.replace("SNS", "SMS") != ""
    both = run(f"classification/{script}", "--dry-run", "SMS", "SNS").stdout
    assert both == sms + sns
    assert "SMS" not in run(f"classification/{script}", "--dry-run").stdout
    if (ROOT / script).exists():
        from_root = run(script, "--dry-run", "SMS").stdout
        assert from_root == f"cd classification\n{sms}cd ..\n"
    if (ROOT / "translation" / script).exists():
        end = run(f"translation/{script}", "SMS")
        assert end.returncode == 2 and "unknown dataset SMS" in end.stderr


@pytest.mark.parametrize("script", ["train_runs.sh", "dump_logs.sh"])
@pytest.mark.slow
def test_root_scripts_find_the_task_of_a_dataset(script):
    def inside(task, *names):
        printed = run(f"{task}/{script}", "--dry-run", *names).stdout
        return f"cd {task}\n{printed}cd ..\n"

    def from_root(*arguments):
        return run(script, "--dry-run", *arguments).stdout

    both = inside("classification", "SMS", "toy") + inside("translation", "multi30k", "toy")
    assert from_root("SMS", "multi30k", "toy") == both
    assert from_root("iwslt14") == inside("translation", "iwslt14")
    assert from_root("translation", "toy") == inside("translation", "toy")
    assert from_root("translation") == inside("translation")
    assert from_root() == inside("classification") + inside("translation")


def test_a_clone_asks_its_own_package(tmp_path):
    """Also where another copy of the package is the installed one."""
    copy_source(tmp_path, "scripts", "attention_dynamics")
    (tmp_path / "classification").mkdir()
    shutil.copy(ROOT / "classification" / "dump_logs.sh", tmp_path / "classification")
    table = tmp_path / "attention_dynamics" / "classification" / "datasets" / "furd.py"
    table.write_text(table.read_text().replace('name="Furd"', 'name="Other"'))
    script = str(tmp_path / "classification" / "dump_logs.sh")
    end = run(script, "--dry-run", "Other", PYTHON=sys.executable)
    assert end.stdout == "python eval_dump.py --dataset Other\n"


@pytest.mark.slow
def test_root_scripts_go_into_the_folders():
    for script, own in (("train_runs.sh", 7), ("dump_logs.sh", 1)):
        lines = run(script, "classification", "--dry-run", "SNS").stdout.splitlines()
        inside = run(f"classification/{script}", "--dry-run", "SNS").stdout.splitlines()
        assert lines == ["cd classification", *inside, "cd .."]
        assert len(inside) == own
        # a dataset's name tells its folder
        assert run(script, "SNS", "--dry-run").stdout.splitlines() == lines


@pytest.mark.parametrize("jobs", ["1", "2", "7"])
def test_a_failure_is_named_and_hides_nothing(python, jobs):
    end = run("classification/train_runs.sh", "Furd", JOBS=jobs, PYTHON=str(python))
    assert end.returncode == 1
    assert sum("--seed" in line for line in calls(python)) == 7
    message = end.stderr.splitlines()
    assert message[0] == "train_runs.sh: failed:"
    assert len(message) == 2
    assert message[1].startswith("  python train_classifier.py --dataset Furd --seed 14 ")


def test_success(python):
    end = run("classification/dump_logs.sh", "SNS", "Furd", JOBS="2", PYTHON=str(python))
    assert end.returncode == 0, end.stderr
    folder = ROOT / "classification"
    assert sorted(line.split(" threads")[0] for line in calls(python)) == [str(folder)] * 2
    said = sorted(line for line in end.stdout.splitlines() if "said:" in line)
    assert said == [
        "Furd | said: eval_dump.py --dataset Furd",
        "SNS | said: eval_dump.py --dataset SNS",
    ]


def test_the_cores_are_shared_out(python):
    cores = os.cpu_count()
    clean = {"OMP_NUM_THREADS": ""}
    run("classification/dump_logs.sh", "SNS", JOBS="2", PYTHON=str(python), **clean)
    assert f"threads={max(1, cores // 2)} " in calls(python)[-1]
    run("classification/dump_logs.sh", "SNS", JOBS="2", PYTHON=str(python), OMP_NUM_THREADS="5")
    assert "threads=5 " in calls(python)[-1]


@pytest.fixture
def able_python(python) -> Path:
    """The same, without a failure."""
    python.write_text(python.read_text().replace("exit 3", ":"))
    return python


def test_settings_are_trained_evaluated_and_tabulated(able_python):
    end = run(
        "classification/settings_runs.sh",
        "SNS",
        "--steps",
        "300",
        PYTHON=str(able_python),
        SETTINGS_ONLY="bilstm attend_to gru",
    )
    assert end.returncode == 0, end.stderr
    found = [line.split(" ", 2)[2] for line in calls(able_python)]
    train = "--steps 4000 --save_every 250 --custom_saves 0,10,50,100,150,200,250"
    flags = {
        "bilstm": "",
        "attend_to": " --attend_to 20",
        "gru": " --config configs/model_gru.json",
    }
    expected = []
    for name, changed in flags.items():
        expected += [
            f"train_classifier.py --dataset SNS --seed {seed} {train}"
            + " --uniform" * (seed == 12)
            + f" --steps 300{changed}"
            for seed in SEEDS
            if (name, seed) != ("attend_to", 12)  # uniform attention cannot be changed
        ]
        folder = f"--outputs_dir outputs/settings/{name}"
        expected.append(f"eval_dump.py --dataset SNS --iterations saved {folder}{changed}")
    folders = " ".join(f"outputs/settings/{name}" for name in flags)
    assert found == [*expected, f"settings.py --dataset SNS {folders}"]


def test_settings_are_evaluated_where_they_were_trained(able_python):
    flags = ["--steps", "9", "--models_dir", "elsewhere", "--data_dir=data2"]
    end = run(
        "classification/settings_runs.sh",
        "SNS",
        *flags,
        PYTHON=str(able_python),
        SETTINGS_ONLY="attention_until",
    )
    assert end.returncode == 0, end.stderr
    (dump,) = [line for line in calls(able_python) if "eval_dump.py" in line]
    flags = "--models_dir elsewhere --data_dir data2 --attention_until 100"
    assert dump.endswith(f"--outputs_dir outputs/settings/attention_until {flags}")


def test_a_stop_before_all_jobs_is_a_failure(able_python):
    able_python.write_text(
        "#!/bin/sh\ncase $* in *train_classifier*) kill -9 $PPID ;; *) exec "
        f'{sys.executable} "$@" ;; esac\n'
    )
    end = run("classification/train_runs.sh", "SNS", PYTHON=str(able_python))
    assert end.returncode == 1 and "stopped before all jobs had run" in end.stderr


@pytest.mark.parametrize(("name", "found"), [("base", ".venv"), ("mine", "python")])
def test_the_environment_that_is_active(name, found, tmp_path):
    """The base of conda, which is always active, is not chosen before .venv."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").write_text("#!/bin/sh\n")
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "jobs.sh", tmp_path / "scripts")
    environment = {"PATH": os.environ["PATH"], "CONDA_PREFIX": "/opt", "CONDA_DEFAULT_ENV": name}
    command = ["bash", "-c", f". {tmp_path}/scripts/jobs.sh; find_python"]
    end = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found in end.stdout and (found == ".venv") == (".venv" in end.stdout)


def test_an_unknown_setting(python):
    end = run("classification/settings_runs.sh", "SNS", PYTHON=str(python), SETTINGS_ONLY="gur")
    assert end.returncode == 2 and end.stdout == ""
    assert end.stderr == "settings_runs.sh: SETTINGS_ONLY: unknown setting gur\n"


def test_settings_stop_at_a_failure(python):
    end = run("classification/settings_runs.sh", "SNS", PYTHON=str(python))
    assert end.returncode == 1 and "--seed 14" in end.stderr
    assert not any("eval_dump.py" in line for line in calls(python))


def test_a_failure_shows_through_the_root_script(python):
    end = run("train_runs.sh", "classification", "SNS", PYTHON=str(python))
    assert end.returncode == 1
    assert "--seed 14" in end.stderr
    assert "failed: classification/train_runs.sh" in end.stderr


@pytest.mark.parametrize(
    ("script", "arguments", "environment", "word"),
    [
        (
            *("classification/train_runs.sh", ["Furd", "imdb"], {}),
            "train_runs.sh: unknown dataset imdb: did you mean IMDB? (known: IMDB Furd AG_News ",
        ),
        (
            "train_runs.sh",
            ["Mutli30k"],
            {},
            "unknown dataset Mutli30k: did you mean multi30k?",
        ),
        ("dump_logs.sh", ["nowhere"], {}, "dump_logs.sh: unknown dataset nowhere (known: IMDB"),
        ("dump_logs.sh", ["translation", "Furd"], {}, "unknown dataset Furd (known: multi30k"),
        ("translation/dump_logs.sh", ["--dry"], {}, "--dry: name a dataset first"),
        ("train_runs.sh", ["translation", "--epochs", "2"], {}, "--epochs: name a dataset first"),
        ("classification/dump_logs.sh", ["SNS", "--runs", "a b"], {}, "'a b' cannot be passed on"),
        ("classification/dump_logs.sh", ["SNS"], {"JOBS": "0"}, "JOBS=0"),
        ("classification/dump_logs.sh", ["SNS"], {"JOBS": "two"}, "JOBS=two"),
        ("classification/dump_logs.sh", ["SNS"], {"TMPDIR": "/nowhere"}, "no temporary file"),
        ("quickstart.sh", ["fast"], {}, "takes no arguments"),
    ],
)
def test_bad_input(python, script, arguments, environment, word):
    end = run(script, *arguments, PYTHON=str(python), **environment)
    assert end.returncode == 2
    assert end.stdout == ""
    assert len(end.stderr.splitlines()) == 1 and word in end.stderr
    assert not (python.parent / "calls").exists()


@pytest.mark.parametrize(
    "script",
    [
        *("train_runs.sh", "dump_logs.sh", "quickstart.sh", "SequenceCopying/copying_runs.sh"),
        *("classification/train_runs.sh", "translation/dump_logs.sh"),
        *("classification/settings_runs.sh", "translation/settings_runs.sh"),
    ],
)
def test_help(script):
    end = run(script, "--help")
    assert end.returncode == 0
    assert f"./{Path(script).name}" in end.stdout
