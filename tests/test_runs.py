"""Names of runs and checkpoints, configurations, and resuming a run."""

import json
import re
from argparse import ArgumentTypeError

import pytest
import torch
from conftest import write_json
from torch import nn

from attention_dynamics import cli
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.cli import InputError
from attention_dynamics.files import seal, storage
from attention_dynamics.training import checkpoints
from attention_dynamics.training.checkpoints import (
    CheckpointSpec,
    load_evaluated,
    load_weights,
    require_checkpoints,
)
from attention_dynamics.training.runs import (
    Run,
    checkpoint_path,
    load_model_config,
    run_folder,
    run_record,
    saved_steps,
)

# Names


@pytest.mark.parametrize("uniform", [False, True])
def test_folders_and_checkpoints_are_called_as_published(uniform, tmp_path):
    attention = "uniform" if uniform else "normal"
    config = {"h_dim": 256, "intermediate_dim": 256, "embed_dim": 300, "b_size": 32}
    folder = run_folder(tmp_path, "IMDB", config, 20, uniform)
    assert folder == tmp_path / "IMDB" / f"h_dim=256,b_size=32,seed=20,{attention}"
    config = {"h_dim": 256, "dropout": 0.5, "b_size": 16, "layers": 2}
    folder = run_folder(tmp_path, "multi30k", config, 12, uniform)
    name = f"h_dim=256,dropout=0.500000,b_size=16,seed=12,{attention}"
    assert folder == tmp_path / "multi30k" / name
    assert checkpoint_path(folder, 3999) == folder / "model3999"
    assert (
        "dropout=0.000000," in run_folder(tmp_path, "x", {**config, "dropout": 0}, 1, uniform).name
    )


def test_published_steps_of_classification():
    custom = [0, 10, 50, 100, 150, 200, 250]
    expected = [0, 10, 50, 100, 150, 200, *range(250, 4000, 250)]
    assert saved_steps(4000, 250, custom, end_is_last=True) == expected


@pytest.mark.parametrize(
    ("steps", "save_every", "custom", "expected"),
    [
        (10, 5, [], [0, 5]),
        (11, 5, [], [0, 5]),  # model10 holds the end of the run
        (12, 5, [], [0, 5, 10]),
        (10, 100, [3, 3, 0], [0, 3]),
        (10, 4, [9], [0, 4, 8]),  # so does model9
        (2, 1, [], [0]),
    ],
)
def test_saved_steps(steps, save_every, custom, expected):
    assert saved_steps(steps, save_every, custom, end_is_last=True) == expected


def test_steps_evenly_spaced_in_the_logarithm():
    found = saved_steps(4001, 10_000, [], log_saves=40)
    plain = [round(4001 ** (k / 39)) for k in range(40)]
    assert found == sorted({0, *plain}) and found[:4] == [0, 1, 2, 3] and found[-1] == 4001
    # in classification model<steps - 1> holds the end, which is saved anyhow
    assert saved_steps(4001, 10_000, [], True, 40) == [
        *sorted({0, *(round(4000 ** (k / 39)) for k in range(39))})
    ]
    assert saved_steps(100, 40, [7], log_saves=3) == [0, 1, 7, 10, 40, 80, 100]
    assert saved_steps(2, 10, [], True, 5) == [0]
    assert saved_steps(1, 10, [], True, 5) == []  # the end alone, as model0
    assert saved_steps(1, 10, [], log_saves=5) == [0, 1]
    assert saved_steps(9, 10, [], log_saves=1) == [0, 1]


@pytest.mark.parametrize("text", ["log", "log:", "log:0", "log:x", "0,10", "lin:4", "log:-1"])
def test_what_is_no_schedule(text):
    with pytest.raises(ArgumentTypeError, match=r"not a schedule such as log:40"):
        cli.log_schedule(text)
    assert cli.log_schedule("log:40") == 40


@pytest.mark.parametrize(("end_is_last", "late", "saves"), [(True, "10,12", 9), (False, "12", 10)])
def test_custom_saves_past_the_end_are_ignored_aloud(end_is_last, late, saves, capsys):
    found = saved_steps(10, 5, [3, 10, 12], end_is_last)
    assert found == ([0, 3, 5] if end_is_last else [0, 3, 5, 10])
    line = f"--custom_saves {late}: ignored, past the last step, {saves}\n"
    assert capsys.readouterr().out == line
    saved_steps(10, 5, [3, 9], end_is_last)
    assert capsys.readouterr().out == ""


# configs/model.json


def test_published_names_of_keys(tmp_path):
    """The authors' configs and ours: the same values under the same names."""
    fields = {"h_dim": int, "b_size": int, "n_layers": int}
    published = {"hidden_dim": 8, "batch_size": 4, "num_layers": 2}
    expected = {"h_dim": 8, "b_size": 4, "n_layers": 2}
    path = tmp_path / "model.json"
    for ours in ([], ["h_dim"], ["h_dim", "n_layers"]):
        mixed = {
            new if new in ours else old: published[old] for old, new in zip(published, expected)
        }
        assert load_model_config(write_json(path, mixed), fields) == expected
    write_json(path, published | {"h_dim": 8})
    with pytest.raises(InputError, match='"hidden_dim" and "h_dim" are the same: keep one'):
        load_model_config(path, fields)
    write_json(path, published | {"batch_size": 0})
    with pytest.raises(InputError, match='"batch_size" is 0'):
        load_model_config(path, fields)


FIELDS = {"h_dim": int, "b_size": int, "dropout": float}
GOOD = {"h_dim": 8, "b_size": 4, "dropout": 0.5}


def test_model_config(tmp_path):
    path = tmp_path / "model.json"
    for dropout in (0, 0.0, 0.99):
        good = {**GOOD, "dropout": dropout}
        assert load_model_config(write_json(path, good), FIELDS) == good


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"h_dim": 8}, ['"b_size" is missing', '"dropout" is missing']),
        ({**GOOD, "hdim": 8}, ['"hdim" is unknown']),
        ({**GOOD, "h_dim": 0, "b_size": -4}, ['"h_dim" is 0', '"b_size" is -4']),
        ({**GOOD, "h_dim": 8.0}, ['"h_dim" is 8.0']),
        ({**GOOD, "h_dim": "8"}, ["\"h_dim\" is '8'"]),
        ({**GOOD, "h_dim": True}, ['"h_dim" is True']),
        ({**GOOD, "h_dim": None}, ['"h_dim" is None']),
        ({**GOOD, "dropout": 1}, ['"dropout" is 1']),
        ({**GOOD, "dropout": -0.1}, ['"dropout" is -0.1']),
        ({**GOOD, "dropout": float("nan")}, ['"dropout" is nan']),
        ({**GOOD, "dropout": [0.5]}, ['"dropout" is [0.5]']),
        ([GOOD], ["h_dim, b_size, dropout"]),
        ("{", ["damaged"]),
    ],
)
def test_a_wrong_model_config_names_everything_wrong(config, words, tmp_path):
    path = write_json(tmp_path / "model.json", config)
    with pytest.raises(InputError) as error:
        load_model_config(path, FIELDS)
    message = str(error.value)
    assert str(path) in message and "\n" not in message
    assert all(word in message for word in words), message


def test_a_missing_model_config(tmp_path):
    with pytest.raises(InputError, match="missing"):
        load_model_config(tmp_path / "model.json", FIELDS)


# configs/<dataset>.json

ENTRY = {"name": "Normal_A", "iteration": 250, "seed": 20, "uniform": False}


def test_evaluated_checkpoints(tmp_path):
    entries = [
        ENTRY,
        {**ENTRY, "iteration": 0, "calculate_grad": False},
        {**ENTRY, "name": "uniform", "uniform": True, "calculate_grad": True},
    ]
    path = write_json(tmp_path / "IMDB.json", entries)
    assert load_evaluated(path, grad_by_default=True) == [
        CheckpointSpec("Normal_A", 250, 20, False, True),
        CheckpointSpec("Normal_A", 0, 20, False, False),
        CheckpointSpec("uniform", 250, 20, True, True),
    ]
    with pytest.raises(InputError, match='entry 1: "calculate_grad" is missing'):
        load_evaluated(path, grad_by_default=False)


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        *(({k: v for k, v in ENTRY.items() if k != key}, f'"{key}" is missing') for key in ENTRY),
        ({**ENTRY, "extra": 1}, '"extra" is unknown'),
        ({**ENTRY, "name": 3}, '"name" is 3'),
        ({**ENTRY, "iteration": "250"}, "\"iteration\" is '250'"),
        ({**ENTRY, "iteration": 250.0}, '"iteration" is 250.0'),
        ({**ENTRY, "iteration": True}, '"iteration" is True'),
        ({**ENTRY, "iteration": -1}, '"iteration" is -1'),
        ({**ENTRY, "seed": None}, '"seed" is None'),
        ({**ENTRY, "uniform": 0}, '"uniform" is 0'),
        ({**ENTRY, "uniform": "false"}, "\"uniform\" is 'false'"),
        ({**ENTRY, "calculate_grad": 1}, '"calculate_grad" is 1'),
        ("Normal_A", "not an object"),
        (["Normal_A", 250, 20, False], "not an object"),
    ],
)
def test_a_wrong_entry_is_named(entry, word, tmp_path):
    good = {**ENTRY, "iteration": 0}
    path = write_json(tmp_path / "IMDB.json", [good, entry])
    with pytest.raises(InputError) as error:
        load_evaluated(path, grad_by_default=True)
    message = str(error.value)
    assert str(path) in message and "entry 2" in message and word in message
    assert "\n" not in message


@pytest.mark.parametrize("content", ["", "[", "[]", "{}", json.dumps(ENTRY), "3"])
def test_what_is_not_a_list_of_checkpoints(content, tmp_path):
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "IMDB.json"))):
        load_evaluated(write_json(tmp_path / "IMDB.json", content), grad_by_default=True)


def test_a_checkpoint_that_is_listed_twice(tmp_path):
    again = {**ENTRY, "name": "NORMAL_A", "seed": 3}
    with pytest.raises(InputError, match="twice"):
        load_evaluated(write_json(tmp_path / "x.json", [ENTRY, again]), grad_by_default=True)


def test_where_the_list_of_checkpoints_is_found(tmp_path):
    """Under the name that was asked for, else another name of the dataset, else in the table."""
    corpus = DATASETS.find("SMS")

    def iterations():
        return [
            entry.iteration for entry in checkpoints.known(tmp_path, tmp_path, corpus, {}, True)
        ]

    published = iterations()
    assert len(published) == 7 * 22 and published[:3] == [0, 10, 50]
    for number, name in enumerate(("SNS_log", "SNS", "SMS_log", "SMS"), start=1):
        write_json(tmp_path / f"{name}.json", [{**ENTRY, "iteration": number}])
        write_json(tmp_path / "IMDB.json", [{**ENTRY, "iteration": 77}])
        assert iterations() == [number]
    write_json(tmp_path / "SMS.json", "[")
    with pytest.raises(InputError, match=r"SMS\.json"):
        iterations()


# Checkpoints


def test_all_missing_checkpoints_are_named(tmp_path):
    folders = [tmp_path / "seed=20,normal", tmp_path / "seed=12,uniform"]
    folders[0].mkdir()
    checkpoint_path(folders[0], 0).write_bytes(b"")
    checkpoint_path(folders[0], 10).mkdir()  # not a file
    paths = [checkpoint_path(folder, step) for folder in folders for step in (0, 10, 50)]
    with pytest.raises(InputError) as error:
        require_checkpoints(paths, "train first")
    message = str(error.value)
    assert "5 checkpoints" in message and "train first" in message and "\n" not in message
    assert f"{folders[0]}: model10 model50" in message
    assert f"{folders[1]}: model0 model10 model50" in message
    require_checkpoints(paths[:1], "")


def test_weights_of_another_size_are_refused(tmp_path):
    path = tmp_path / "model0"
    model = nn.Linear(3, 2)
    storage.save_torch(model.state_dict(), path)
    other = nn.Linear(3, 2)
    load_weights(other, path, "train")
    assert torch.equal(other.weight, model.weight)
    for wrong in (nn.Linear(4, 2), nn.Linear(3, 2, bias=False), nn.LSTM(3, 2)):
        with pytest.raises(InputError, match="other settings or data") as error:
            load_weights(wrong, path, "train")
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    for content in ([1, 2], {"weight": 3}, {3: torch.ones(1)}, None, torch.ones(2)):
        storage.save_torch(content, path)
        with pytest.raises(InputError, match="model0"):
            load_weights(nn.Linear(3, 2), path, "train")
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="train"):
        load_weights(nn.Linear(3, 2), path, "train")


# Resuming a run. A tiny one: a linear model on random batches, drawn from torch's generator
# so that its state has to come back, trained as train_classifier.py does.

SETTINGS = {"h_dim": 4, "seed": 20, "uniform": False, "data": "abc"}
SETTINGS |= {"optimizer": "adam", "lr": 0.001, "version": 1}


class Killed(BaseException):
    pass


def train(folder, steps, save_every=5, custom=(), settings=SETTINGS, kill_at=None):
    """Train to the end, or until ``kill_at`` updates are made; gives the step it started from."""
    saves = saved_steps(steps, save_every, custom, end_is_last=True)
    run = Run(folder, settings, steps, saves)
    start = run.step
    if run.finished:
        return start
    torch.manual_seed(settings["seed"])
    model = nn.Linear(4, 1)
    run.begin(model, torch.optim.Adam(model.parameters()))

    def loss(step):
        if step == kill_at:
            raise Killed
        return (model(torch.randn(8, 4)) ** 2).mean()

    for step, losses in run.updates(loss, steps, set(saves) - set(run.saved)):
        row = {"loss": losses[-1].item() if losses else 0.0}
        run.save_checkpoint(step, step if step < steps else steps - 1, row)
    return start


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("model*")}


def history_steps(folder):
    header, *lines = (folder / "history.csv").read_text().splitlines()
    assert header == "step,loss"
    return [int(line.split(",")[0]) for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The checkpoints of a run of 20 steps that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(folder, 20, custom=[2, 3]) == 0
    assert sorted(files_of(folder)) == sorted(f"model{i}" for i in (0, 2, 3, 5, 10, 15, 19))
    assert history_steps(folder) == [0, 2, 3, 5, 10, 15, 20]
    return folder


@pytest.mark.parametrize("kill_at", range(20))
def test_a_run_that_was_killed_ends_with_the_same_bytes(kill_at, whole, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(folder, 20, custom=[2, 3], kill_at=kill_at)
    last_save = max(step for step in (0, 2, 3, 5, 10, 15) if step <= kill_at)
    assert train(folder, 20, custom=[2, 3]) == last_save
    assert files_of(folder) == files_of(whole)
    assert (folder / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()


@pytest.mark.parametrize("kind", ["any", "history"])
@pytest.mark.parametrize("number", range(7))
def test_a_run_killed_between_the_files_of_a_save(number, kind, whole, tmp_path, monkeypatch):
    """``resume.pt`` is written, and then the process dies before the checkpoint."""
    folder = tmp_path / "run"
    write_results = Run._write_results
    calls = iter(range(100))

    def killed(run):
        if next(calls) == number:
            if kind == "history":
                storage.save_text("step,loss\n", folder / "history.csv")
            raise Killed
        write_results(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_write_results", killed)
        with pytest.raises(Killed):
            train(folder, 20, custom=[2, 3])
    assert len(files_of(folder)) == number
    assert train(folder, 20, custom=[2, 3]) == [0, 2, 3, 5, 10, 15, 20][number]
    assert files_of(folder) == files_of(whole)
    assert (folder / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()


def test_the_record_of_a_run(whole, tmp_path):
    record = storage.load_json(whole / "run.json", "")
    assert record["step"] == 20
    assert record["settings"] == storage.load_torch(whole / "resume.pt", "")["settings"]
    assert 0 < record["seconds"] < 600
    assert record["made_with"]["device"] == "cpu"
    assert record["made_with"]["threads"] == torch.get_num_threads()
    assert record["made_with"]["torch"] == torch.__version__


def test_time_before_an_interruption_counts(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 100))  # 100 s pass between two looks at it
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    with pytest.raises(Killed):
        train(tmp_path / "run", 20, kill_at=12)
    before = storage.load_json(tmp_path / "run" / "run.json", "")["seconds"]
    train(tmp_path / "run", 20)
    after = storage.load_json(tmp_path / "run" / "run.json", "")["seconds"]
    assert 0 < before < after < 10_000


TRAINED_WITH = {"h_dim": 4, "data": "abc", "version": 1}


def listed(*iterations, seed=20):
    return [CheckpointSpec("Normal_A", iteration, seed, False, True) for iteration in iterations]


def evaluated_of(folder, entries, **options):
    return checkpoints.evaluated_checkpoints(
        entries, folder, "x", {"h_dim": 4, "b_size": 2}, TRAINED_WITH, "train it", **options
    )


def test_what_lies_past_the_end_of_a_run_is_left_out(tmp_path, capsys):
    """By the run's own record; what is missing before the end is an error."""
    folder = run_folder(tmp_path, "x", {"h_dim": 4, "b_size": 2}, 20, False)
    train(folder, 20)
    capsys.readouterr()
    entries = listed(0, 5, 19, 20, 25)
    kept, paths = evaluated_of(tmp_path, entries, end_is_last=True)
    assert kept == entries[:3]
    assert paths == [checkpoint_path(folder, step) for step in (0, 5, 19)]
    line = "left out, past the end of training: Normal_A 20 25 (ends at 19)\n"
    assert capsys.readouterr().out == line

    with pytest.raises(InputError, match=r"1 checkpoints are missing .train it.: .*model7"):
        evaluated_of(tmp_path, listed(0, 7, 25), end_is_last=True)
    with pytest.raises(InputError, match=r"all checkpoints lie past the end .* Normal_A 20 25"):
        evaluated_of(tmp_path, listed(20, 25), end_is_last=True)
    # in translation the end has the number of steps itself
    with pytest.raises(InputError, match="model20"):
        evaluated_of(tmp_path, listed(0, 20))
    # a checkpoint without a record, as the authors', can be missing in one way alone
    with pytest.raises(InputError, match="model25"):
        evaluated_of(tmp_path, listed(25, seed=3), end_is_last=True)
    (folder / "run.json").write_text("[]")
    with pytest.raises(InputError, match=r"run\.json is damaged"):
        evaluated_of(tmp_path, entries)


def test_the_end_that_was_planned_is_recorded(tmp_path, capsys):
    """While a run is unfinished, and when it is continued to a later end."""
    folder = run_folder(tmp_path, "x", {"h_dim": 4, "b_size": 2}, 20, False)
    with pytest.raises(Killed):
        train(folder, 20, kill_at=12)
    assert run_record(folder)["steps"] == 20
    with pytest.raises(InputError, match="model15"):
        evaluated_of(tmp_path, listed(0, 15))
    train(folder, 20)
    train(folder, 30)
    assert run_record(folder)["steps"] == 30
    kept, _ = evaluated_of(tmp_path, listed(0, 25, 31), end_is_last=True)
    assert [entry.iteration for entry in kept] == [0, 25]
    assert "Normal_A 31 (ends at 29)" in capsys.readouterr().out
    assert run_record(tmp_path) == {}


@pytest.mark.parametrize("key", TRAINED_WITH)
def test_checkpoints_of_other_settings_are_not_evaluated(key, tmp_path):
    """Such as those of an older version of the mathematics, or of other data."""
    folder = run_folder(tmp_path, "x", {"h_dim": 4, "b_size": 2}, 20, False)
    train(folder, 20, settings={**SETTINGS, key: 7})
    with pytest.raises(InputError, match=rf"other settings \(.*{key}") as error:
        evaluated_of(tmp_path, listed(0, 5))
    assert str(folder) in str(error.value) and "train it" in str(error.value)
    (folder / "run.json").unlink()  # as the authors': nothing is known of them
    assert evaluated_of(tmp_path, listed(0, 5))[0] == listed(0, 5)


def test_runs_of_different_optimizers_are_not_compared(tmp_path):
    for seed, optimizer in ((20, "adam"), (13, "sgd")):
        folder = run_folder(tmp_path, "x", {"h_dim": 4, "b_size": 2}, seed, False)
        train(folder, 10, settings={**SETTINGS, "seed": seed, "optimizer": optimizer})
    assert evaluated_of(tmp_path, listed(5, seed=13))[0] == listed(5, seed=13)
    with pytest.raises(InputError, match=r"optimizer: sgd, now adam"):
        evaluated_of(tmp_path, listed(5) + listed(5, seed=13))


def test_runs_that_end_at_different_steps(tmp_path, capsys):
    """They could not be compared later, so this is said before anything is evaluated."""
    for seed, steps in ((20, 10), (13, 20)):
        folder = run_folder(tmp_path, "x", {"h_dim": 4, "b_size": 2}, seed, False)
        train(folder, steps, settings={**SETTINGS, "seed": seed})
    capsys.readouterr()

    def entries(*iterations):
        return [
            CheckpointSpec(name, iteration, seed, False, False)
            for name, seed in (("Normal_A", 20), ("Normal_B", 13))
            for iteration in iterations
        ]

    with pytest.raises(InputError, match=r"train them equally long: .*Normal_A 15 \(ends at 10\)"):
        evaluated_of(tmp_path, entries(5, 15))
    kept, _ = evaluated_of(tmp_path, entries(5, 1000, 2000))
    assert kept == entries(5)
    assert capsys.readouterr().out.splitlines() == [
        "left out, past the end of training: Normal_A 1000 2000 (ends at 10)",
        "left out, past the end of training: Normal_B 1000 2000 (ends at 20)",
    ]


def test_a_finished_run_is_left_alone(whole, tmp_path):
    before = files_of(whole)
    assert train(whole, 20, custom=[2, 3]) == 20
    assert train(whole, 20) == 20  # fewer saves are a part of them
    assert files_of(whole) == before


def test_a_run_is_extended(tmp_path):
    longer, extended = tmp_path / "longer", tmp_path / "extended"
    train(longer, 40)
    assert train(extended, 20) == 0
    assert train(extended, 40) == 20
    expected = files_of(longer)
    # the end of the shorter run stays; in the longer it is the checkpoint before step 20
    ends = [seal.read(path) for path in (extended / "model19", longer / "model20")]
    assert ends[0].content == ends[1].content
    assert [end.of["step"] for end in ends] == [19, 20]
    (extended / "model19").unlink()
    assert files_of(extended) == expected
    assert history_steps(extended) == history_steps(longer) == [*range(0, 40, 5), 40]


def test_the_end_of_a_shorter_run_does_not_pass_for_a_save_of_the_longer(tmp_path):
    """model19 of a run of 20 steps holds the weights after 20 updates, not 19."""
    longer, extended = tmp_path / "longer", tmp_path / "extended"
    train(longer, 40, custom=[19])
    train(extended, 20, custom=[19])
    assert train(extended, 40, custom=[19]) == 0
    assert files_of(extended) == files_of(longer)


# A finished run without resume.pt


def finished_without_state(folder, capsys, steps=20, **options):
    train(folder, steps, **options)
    run = Run(folder, SETTINGS, steps, [])
    run.end(drop_resume=False)
    assert (folder / "resume.pt").exists()
    capsys.readouterr()
    run.end(drop_resume=True)
    assert f"{folder / 'resume.pt'} was dropped" in capsys.readouterr().out
    assert not (folder / "resume.pt").exists()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_finished_run_is_finished_without_its_state(tmp_path, capsys):
    folder = tmp_path / "run"
    before = finished_without_state(folder, capsys)
    for custom in ([], [5, 10]):
        assert train(folder, 20, custom=custom) == 20
    run = Run(folder, SETTINGS, 20, [0, 5])
    assert run.finished and run.history == []
    run.end(drop_resume=True)  # it is dropped already
    assert capsys.readouterr().out == ""
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_without_its_state_a_run_is_not_extended(tmp_path, capsys):
    folder = tmp_path / "run"
    before = finished_without_state(folder, capsys)
    message = r"finished at 20 steps and its resume\.pt was dropped, so it cannot be extended to 40"
    with pytest.raises(InputError, match=rf"{message}: delete .* --models_dir"):
        train(folder, 40)
    with pytest.raises(InputError, match="holds 20 steps, more than 12"):
        train(folder, 12)
    with pytest.raises(InputError, match=r"other settings \(seed: 20, now 3\)"):
        train(folder, 20, settings={**SETTINGS, "seed": 3})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["model0", "model10", "model19"])
def test_a_checkpoint_that_was_lost_after_the_state(name, whole, tmp_path, capsys):
    folder = tmp_path / "run"
    finished_without_state(folder, capsys, custom=[2, 3])
    (folder / name).unlink()
    assert train(folder, 20, custom=[2, 3]) == 0
    assert f"{name} is not there: training from step 0 again" in capsys.readouterr().out
    assert files_of(folder) == files_of(whole)


def test_a_save_that_was_not_made_is_not_taken_from_the_end_of_a_shorter_run(tmp_path, capsys):
    longer, folder = tmp_path / "longer", tmp_path / "run"
    train(longer, 40, custom=[19])
    train(folder, 20)
    finished_without_state(folder, capsys, steps=40)
    assert train(folder, 40, custom=[19]) == 0
    assert files_of(folder) == files_of(longer)


def test_an_unfinished_run_without_its_state_is_refused(tmp_path):
    """It cannot have been dropped by us."""
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(folder, 20, kill_at=12)
    (folder / "resume.pt").unlink()
    with pytest.raises(InputError, match=r"no resume\.pt"):
        train(folder, 20)


@pytest.mark.parametrize("number", range(6))
def test_old_checkpoints_do_not_pass_for_those_of_a_run_begun_again(number, tmp_path, monkeypatch):
    """Begun again over a shorter run, killed after ``resume.pt``: an old model19 lies there."""
    longer, again = tmp_path / "longer", tmp_path / "again"
    train(longer, 40, custom=[19])
    train(again, 20)
    write_results = Run._write_results
    calls = iter(range(100))

    def killed(run):
        if next(calls) == number:
            raise Killed
        write_results(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_write_results", killed)
        with pytest.raises(Killed):
            train(again, 40, custom=[19])
    train(again, 40, custom=[19])
    assert files_of(again) == files_of(longer)
    assert (again / "history.csv").read_bytes() == (longer / "history.csv").read_bytes()


def test_saves_that_were_not_asked_for_before(tmp_path, capsys):
    folder, other = tmp_path / "run", tmp_path / "other"
    train(folder, 20)
    train(other, 20, custom=[7])
    assert train(folder, 20, custom=[7]) == 0
    assert "model7 is not there" in capsys.readouterr().out
    assert files_of(folder) == files_of(other)
    # one that lies ahead is no reason to begin again
    with pytest.raises(Killed):
        train(tmp_path / "third", 20, kill_at=6)
    assert train(tmp_path / "third", 20, custom=[7]) == 5
    assert files_of(tmp_path / "third") == files_of(other)


@pytest.mark.parametrize("name", ["model0", "model10", "model19"])
def test_a_checkpoint_that_was_lost(name, tmp_path, whole, capsys):
    folder = tmp_path / "run"
    train(folder, 20, custom=[2, 3])
    (folder / name).unlink()
    start = train(folder, 20, custom=[2, 3])
    assert start == (20 if name == "model19" else 0)  # the last is in resume.pt
    if name != "model19":
        assert f"{name} is not there" in capsys.readouterr().out
    assert files_of(folder) == files_of(whole)


def test_fewer_steps_are_refused(tmp_path):
    """They would replace a longer run by a shorter one."""
    folder = tmp_path / "run"
    train(folder, 20)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match=r"holds 20 steps, more than 12: delete .* --models_dir"):
        train(folder, 12)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("key", [*SETTINGS, "new"])
def test_a_run_of_other_settings_is_refused_and_left_alone(key, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(folder, 20, kill_at=8)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match=f"other settings.*{key}"):
        train(folder, 20, settings={**SETTINGS, key: 99})
    if key in SETTINGS:
        fewer = {k: v for k, v in SETTINGS.items() if k != key}
        with pytest.raises(InputError, match=f"other settings.*{key}"):
            Run(folder, fewer, 20, saved_steps(20, 5, [], end_is_last=True))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_checkpoints_of_unknown_origin_are_refused_and_left_alone(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model250").write_bytes(b"from the authors")
    with pytest.raises(InputError, match=r"no resume\.pt") as error:
        train(folder, 20)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)
    assert files_of(folder) == {"model250": b"from the authors"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not torch's",
        [1, 2],
        {"step": 3},
        {"settings": SETTINGS, "step": 5, "weights": {}},
        {"settings": [], "step": 5, "weights": {}},
    ],
    ids=range(6),
)
def test_a_damaged_resume_file_is_one_line(content, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    if isinstance(content, bytes):
        (folder / "resume.pt").write_bytes(content)
    else:
        storage.save_torch(content, folder / "resume.pt")
    with pytest.raises(InputError) as error:
        train(folder, 20)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_a_full_disk_leaves_a_run_that_resumes(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    save_torch, calls = storage.save_torch, iter(range(100))

    def fail(value, path, of=None):
        if next(calls) == 8:
            raise InputError(f"{path} could not be written: No space left on device")
        save_torch(value, path, of)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "save_torch", fail)
        with pytest.raises(InputError, match="No space"):
            train(folder, 20, custom=[2, 3])
    train(folder, 20, custom=[2, 3])
    assert files_of(folder) == files_of(whole)
