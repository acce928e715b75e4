"""copying_runs.sh: its commands. A stand-in for Python records them; nothing is trained."""

from test_bash_scripts import calls, python, run  # noqa: F401  (python is a fixture)

SCRIPT = "SequenceCopying/copying_runs.sh"
MULTIHEAD = "python multihead.py"
SEQ2SEQ = ["python seq2seq.py --no_rep", "python seq2seq.py --no_rep num_vocab=60"]


def test_published_commands():
    assert run(SCRIPT, "--dry-run").stdout.splitlines() == [*SEQ2SEQ, MULTIHEAD]
    assert run(SCRIPT, "--dry-run", "seq2seq").stdout.splitlines() == SEQ2SEQ
    assert run(SCRIPT, "multihead", "--dry-run").stdout.splitlines() == [MULTIHEAD]


def test_the_law_runs_only_if_it_is_named():
    lines = run(SCRIPT, "--dry-run", "law").stdout.splitlines()
    assert [line.split(" --")[0] for line in lines] == ["python law.py"] * 2
    assert "--name law_std1" in lines[1]


def test_toy_is_small_and_named_for_the_figure():
    lines = run(SCRIPT, "--dry-run", "toy").stdout.splitlines()
    assert [line.split("--exp_name ")[1] for line in lines] == ["toy_20of20", "toy_20of30"]
    assert all("--seq_length 20" in line and "--hidden_dim 64" in line for line in lines)
    assert ["num_vocab=20 " in line for line in lines] == [True, False]


def test_one_run_at_a_time(python):  # noqa: F811
    """Each shares out the cores among its models by itself."""
    end = run(SCRIPT, JOBS="4", PYTHON=str(python), OMP_NUM_THREADS="")
    assert end.returncode == 0, end.stderr
    made = calls(python)
    assert [line.split(" ", 2)[2] for line in made] == [
        line.removeprefix("python ") for line in [*SEQ2SEQ, MULTIHEAD]
    ]
    assert all(line.split()[0].endswith("SequenceCopying") for line in made)
    assert all(line.split()[1] == "threads=" for line in made)


def test_unknown_experiment(python):  # noqa: F811
    end = run(SCRIPT, "SNS", PYTHON=str(python))
    assert end.returncode == 2
    assert end.stderr.splitlines() == [
        "copying_runs.sh: unknown experiment SNS (known: seq2seq multihead law toy)"
    ]
    assert not (python.parent / "calls").exists()


def test_help():
    end = run(SCRIPT, "--help")
    assert end.returncode == 0
    assert f"./{SCRIPT.split('/')[1]} toy" in end.stdout
