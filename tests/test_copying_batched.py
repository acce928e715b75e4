"""Many copiers trained as one learn what each learns alone."""

import copy
import dataclasses
import gc
import weakref

import numpy as np
import pytest
import torch
from conftest import call_script

from attention_dynamics.copying import batched, model, training
from attention_dynamics.copying.histories import COLUMNS
from attention_dynamics.copying.settings import Settings
from attention_dynamics.files import storage
from attention_dynamics.training import engine

pytestmark = pytest.mark.slow  # whole trainings

CPU = torch.device("cpu")
SETTINGS = Settings(9, 7, True, batch_size=6, steps=16, eval_every=3, lr=0.01)
SEEDS = [3, 4, 3, 5, 6]
COPIERS = {
    "one direction": {},
    "both directions": {"bi": True},
    "uniform": {"uniform": True},
    "no context": {"no_context": True},
    "no bias": {"no_bias": True},
}


def copiers(**options) -> list:
    sizes = {"n_vocab": 9, "hidden_dim": 8}
    return [model.build_copier(seed, **sizes, **options).double() for seed in range(5)]


def multihead() -> list:
    heads = [(0, 1, 2), (1, 2, 3), (7, 8, 9), (2, 1, 0), (0, 4, 5)]
    return [model.build_multihead(0, seeds, 9, 8).double() for seeds in heads]


CASES = [lambda options=options: copiers(**options) for options in COPIERS.values()] + [multihead]
cases = pytest.mark.parametrize("make", CASES, ids=[*COPIERS, "heads"])


def alone(models, stop=None, settings=SETTINGS) -> list:
    return [
        training.train(copy.deepcopy(m), settings, seed, stop) for m, seed in zip(models, SEEDS)
    ]


def together(models, stop=None, settings=SETTINGS) -> list:
    found = dict(batched.train(copy.deepcopy(models), SEEDS, settings, CPU, stop))
    return [found[index] for index in range(len(models))]


def assert_same(histories, others):
    for history, other in zip(histories, others, strict=True):
        assert history["step"] == other["step"]
        for column in COLUMNS:
            np.testing.assert_allclose(history[column], other[column], rtol=1e-5, atol=1e-5)


@cases
def test_each_learns_as_it_does_alone(make):
    models = make()
    expected = alone(models)
    assert_same(together(models), expected)
    losses = np.array([history["loss"][1:] for history in expected])
    assert len(np.unique(losses.round(6))) == losses.size  # no two models are alike


def test_another_optimizer():
    """Also in a stack that gets smaller: model 1 and no other ends at step 3."""
    settings = dataclasses.replace(SETTINGS, optimizer="sgd", lr=0.5)
    models = copiers()
    whole = alone(models, settings=settings)
    assert_same(together(models, settings=settings), whole)
    assert whole[0]["loss"][2] != pytest.approx(alone(models)[0]["loss"][2])
    first = whole[1]["loss"][1]

    def stop(history) -> bool:
        return abs(history["loss"][-1] - first) < 1e-7

    stopped = together(models, stop, settings)
    assert [len(history["step"]) for history in stopped] == [6, 2, 6, 6, 6]
    assert_same(stopped[2:], whole[2:])


def test_the_models_have_no_progress_bars_of_their_own(monkeypatch):
    monkeypatch.setattr(engine.cli, "progress_bar", None)
    models = copiers()
    assert_same(together(models), alone(models))


@cases
def test_those_that_end_early_leave_the_others_as_they_are(make, monkeypatch):
    """Models 1 and 2 end at step 3, 0 at step 6: the stack shrinks twice."""
    models = make()
    whole = alone(models)
    ends = {whole[1]["loss"][1]: 3, whole[2]["loss"][1]: 3, whole[0]["loss"][1]: 6}

    def stop(history) -> bool:
        return len(history["loss"]) > 1 and any(
            history["step"][-1] == end and abs(history["loss"][1] - loss) < 1e-7
            for loss, end in ends.items()
        )

    kept = []
    keep = batched.Stack.keep
    monkeypatch.setattr(
        batched.Stack, "keep", lambda self, places: (kept.append(places), keep(self, places))
    )
    expected = alone(models, stop)
    assert [history["step"][-1] for history in expected] == [6, 3, 3, 15, 15]
    assert_same(together(models, stop), expected)
    assert kept == [[0, 3, 4], [1, 2]]


def test_an_ended_model_is_given_at_once_and_not_recorded_further(monkeypatch):
    models = copiers()
    first = alone(models)[1]["loss"][1]
    kept = []
    keep = batched.Stack.keep
    monkeypatch.setattr(
        batched.Stack, "keep", lambda self, places: (kept.append(places), keep(self, places))
    )
    given = batched.train(
        models, SEEDS, SETTINGS, CPU, lambda history: abs(history["loss"][-1] - first) < 1e-7
    )
    index, history = next(given)
    assert (index, history["step"], kept) == (1, [0, 3], [])
    rest = dict(given)
    assert kept == [[0, 2, 3, 4]]
    assert sorted(rest) == [0, 2, 3, 4]
    assert history["step"] == [0, 3]
    assert all(len(other["step"]) == 6 for other in rest.values())


def test_groups_where_not_all_fit(monkeypatch):
    models = copiers()
    sizes = []
    stack = batched.Stack

    def recorded(models, *arguments):
        sizes.append(len(models))
        return stack(models, *arguments)

    one = batched.bytes_of_one(models[0], SETTINGS, CPU)
    monkeypatch.setattr(batched, "Stack", recorded)
    monkeypatch.setattr(batched, "CPU_BYTES", 2.5 * one)
    assert_same(together(models), alone(models))
    assert sizes == [1, 2, 2, 1]  # the first to measure how many fit
    monkeypatch.setattr(batched, "CPU_BYTES", 0)
    assert batched.fitting(models[0], SETTINGS, CPU) == 1  # one must do


def test_memory_grows_with_the_batch_and_the_heads():
    def of(heads: int, batch_size: int) -> float:
        settings = Settings(12, 12, True, batch_size=batch_size)
        built = model.build_multihead(0, tuple(range(heads)), 12, 32)
        return batched.bytes_of_one(built, settings, CPU)

    assert 1.8 < of(8, 512) / of(8, 256) < 2.1
    grown = of(9, 512) - of(5, 512)
    assert grown == pytest.approx(of(5, 512) - of(1, 512), rel=0.1)
    assert grown > 4 * 2 * 512 * 12 * 32 * 4  # of each head at least queries and what they attend


@cases
def test_what_was_measured_is_freed(make, monkeypatch):
    measured = []
    stack = batched.Stack

    def recorded(*arguments):
        made = stack(*arguments)
        measured.extend(map(weakref.ref, made.parameters.values()))
        return made

    monkeypatch.setattr(batched, "Stack", recorded)
    batched.bytes_of_one(make()[0], SETTINGS, CPU)
    gc.collect()
    assert measured and not any(parameter() is not None for parameter in measured)


def test_gather_draws_a_seed_once():
    drawn = []

    def draw(seed):
        drawn.append(seed)
        return torch.full((2, 3), seed)

    found = batched.gather(draw, [4, 2, 4], CPU)
    assert found[:, 0, 0].tolist() == [4, 2, 4]
    assert drawn == [4, 2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@cases
def test_on_cuda(make):
    models = make()
    found = dict(batched.train(models, SEEDS, SETTINGS, torch.device("cuda")))
    assert_same([found[index] for index in range(len(models))], alone(models))


def test_both_ways_of_the_script_give_the_same_curves(tmp_path, capsys):
    flags = "--no_rep --num_vocab 9 --seq_length 7 --hidden_dim 8 --bsize 8 --steps 20 --seeds 3"
    curves = {}
    for way in ("batched", "separate"):
        status, _, err = call_script(
            "SequenceCopying",
            "seq2seq.py",
            *flags.split(),
            *("--device", "cpu", "--jobs", 1, "--way", way, "--exp_name", way),
            *("--logs_dir", tmp_path),
            capsys=capsys,
        )
        assert status == 0, err
        curves[way] = storage.load_pickle(tmp_path / f"{way}.pkl", "")["histories"]
    assert list(curves["batched"]) == [0, 1, 2]
    for seed, history in curves["separate"].items():
        found = curves["batched"][seed]
        assert found["step"] == history["step"] == [1, 11]
        np.testing.assert_allclose(found["loss"][1:], history["loss"][1:], rtol=1e-4)
        np.testing.assert_allclose(
            found["token_accuracy"], history["token_accuracy"], atol=0.04
        )  # float32: an argmax may go the other way
