"""Dumps: evaluating what is missing, and replacing nothing that was made with other settings."""

from pathlib import Path

import numpy as np
import pytest

from attention_dynamics.analysis.dump import dump_id, dump_path, evaluate_missing, load_dump
from attention_dynamics.cli import InputError
from attention_dynamics.files import storage
from attention_dynamics.training.checkpoints import CheckpointSpec

SETTINGS = {"h_dim": 4, "version": 1, "columns": {"alpha": 1, "grad": 2}, "val": 2, "data": "abc"}


def header(**settings) -> dict:
    sentences = {"tokens": np.array([3, 1, 2]), "offsets": np.array([0, 1, 3])}
    return {
        "dataset": "toy",
        "settings": SETTINGS | settings,
        "vocab": ["a", "b", "c", "d"],
        "sentences": sentences,
    }


class Evaluator:
    """Gives columns that depend on the checkpoint's content, and counts."""

    def __init__(self):
        self.calls: list[tuple[str, int]] = []

    def __call__(self, entry: CheckpointSpec, path: Path) -> dict:
        self.calls.append((entry.name, entry.iteration))
        alpha = np.full(3, float(path.read_text()), dtype=np.float32)
        metas = {"acc": entry.iteration / 100}
        return {"alpha": alpha, "grad": alpha if entry.calculate_grad else None, "metas": metas}


def listed(*iterations: int) -> list[CheckpointSpec]:
    return [
        CheckpointSpec(name, iteration, 20, False, name == "A")
        for name in ("A", "B")
        for iteration in iterations
    ]


@pytest.fixture
def evaluate(tmp_path):
    """Evaluates a list into a dump; gives the keys of what was evaluated."""

    def run(
        entries: list[CheckpointSpec], needed=(), parts_only=False, **settings
    ) -> list[tuple[str, int]]:
        paths = [tmp_path / f"{entry.name}{entry.iteration}" for entry in entries]
        for path, entry in zip(paths, entries):
            if not path.exists():
                path.write_text(str(entry.iteration))
        evaluator = Evaluator()
        path = dump_path(tmp_path, "toy")
        count = evaluate_missing(
            path, header(**settings), entries, paths, evaluator, needed, parts_only
        )
        assert count == len(evaluator.calls)
        return evaluator.calls

    return run


def test_only_what_is_missing_is_evaluated(evaluate, tmp_path):
    assert evaluate(listed(0, 10)) == [("A", 0), ("A", 10), ("B", 0), ("B", 10)]
    content = dump_path(tmp_path, "toy").read_bytes()
    assert evaluate(listed(0, 10)) == []
    assert dump_path(tmp_path, "toy").read_bytes() == content
    assert evaluate(listed(0, 10, 20)) == [("A", 20), ("B", 20)]
    dump = load_dump(tmp_path, "toy")
    assert dump["alpha"]["B", 20].tolist() == [20, 20, 20]
    assert set(dump["grad"]) == {("A", 0), ("A", 10), ("A", 20)}
    assert dump["metas"]["A", 10, "acc"] == 0.1
    assert not list(tmp_path.glob("*.parts"))


def test_parts_of_several_jobs_are_gathered(evaluate, tmp_path):
    """The same bytes as by one process; a job that has nothing to do leaves the others' files."""
    path = dump_path(tmp_path, "toy")
    evaluate(listed(0, 10))
    alone = path.read_bytes()
    path.unlink()
    runs = {name: [e for e in listed(0, 10) if e.name == name] for name in "BA"}
    for name, entries in runs.items():
        assert evaluate(entries, parts_only=True) == [(name, 0), (name, 10)]
        assert evaluate(entries, parts_only=True) == []
    assert not path.exists()
    assert evaluate(listed(0, 10)) == []
    assert path.read_bytes() == alone and not list(tmp_path.glob("*.parts"))
    assert evaluate(listed(0, 10, 20)[:3], parts_only=True) == [
        ("A", 20)
    ]  # of a dump that is there
    assert evaluate(runs["B"], parts_only=True) == []
    assert evaluate(listed(0, 10, 20)) == [("B", 20)]


def test_checkpoints_that_are_not_in_a_shorter_list_stay(evaluate, tmp_path, capsys):
    evaluate(listed(0, 10, 20))
    content = dump_path(tmp_path, "toy").read_bytes()
    assert evaluate(listed(10)) == []
    assert dump_path(tmp_path, "toy").read_bytes() == content
    assert "4 checkpoints that are not in the list stay in it" in capsys.readouterr().out
    # those that are added come to them
    assert evaluate(listed(5)) == [("A", 5), ("B", 5)]
    dump = load_dump(tmp_path, "toy")
    assert {iteration for _, iteration in dump["alpha"]} == {0, 5, 10, 20}
    assert dump["alpha"]["A", 20].tolist() == [20, 20, 20]


@pytest.mark.parametrize(
    "changed", [{"h_dim": 5}, {"columns": {"alpha": 1, "grad": 3}}, {"version": 2}, {"val": 1}]
)
def test_a_dump_of_other_settings_is_left_alone(changed, evaluate, tmp_path):
    """Other sizes, other sentences, or another version of what computes a column."""
    evaluate(listed(0, 10))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=rf"other settings \({next(iter(changed))}.*outputs_dir"):
        evaluate(listed(0, 10), **changed)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_other_data(evaluate):
    evaluate(listed(0))
    with pytest.raises(InputError, match=r"other settings \(other data\)"):
        evaluate(listed(0), data="def")


@pytest.mark.parametrize("content", [b"", b"no pickle", [1], {"id": "x"}, {"settings": 3}])
def test_what_is_not_a_dump_is_left_alone(content, evaluate, tmp_path):
    path = dump_path(tmp_path, "toy")
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        storage.save_pickle(content, path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="delete it or choose another --outputs_dir"):
        evaluate(listed(0))
    assert path.read_bytes() == before


def test_a_checkpoint_that_has_changed_is_evaluated_again(evaluate, tmp_path, capsys):
    evaluate(listed(0, 10))
    (tmp_path / "B10").write_text("7")
    assert evaluate(listed(0, 10)) == [("B", 10)]
    assert "1 checkpoints were not as before: evaluated again" in capsys.readouterr().out
    assert load_dump(tmp_path, "toy")["alpha"]["B", 10].tolist() == [7, 7, 7]


def test_metas_that_were_not_asked_for_before(evaluate):
    evaluate(listed(0))
    assert evaluate(listed(0), needed=["acc"]) == []
    assert evaluate(listed(0), needed=["bleu"]) == [("A", 0), ("B", 0)]


def test_the_id_tells_dumps_apart(evaluate, tmp_path):
    path = dump_path(tmp_path, "toy")
    assert dump_id(path) is None
    evaluate(listed(0))
    first = dump_id(path)
    assert first == load_dump(tmp_path, "toy")["id"]
    evaluate(listed(0, 10))
    second = dump_id(path)
    assert second == load_dump(tmp_path, "toy")["id"] != first
    path.unlink()
    evaluate(listed(0))
    assert dump_id(path) == first  # the same contents
    for content in (b"", b"no pickle", path.read_bytes()[:20]):
        path.write_bytes(content)
        assert dump_id(path) is None
    storage.save_pickle({"dataset": "toy", "id": "x"}, path)
    assert dump_id(path) is None
