"""Many copiers trained as one learn what each learns alone."""

import contextlib
import copy
import gc
import weakref

import numpy as np
import pytest
import torch
from conftest import call_script

from attention_dynamics.copying import batched, model, training
from attention_dynamics.copying.histories import COLUMNS
from attention_dynamics.files import storage

CPU = torch.device("cpu")
SETTINGS = training.Settings(9, 7, True, batch_size=6, steps=16, eval_every=3, lr=0.01)
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


def alone(models, stop=None) -> list:
    return [
        training.train(copy.deepcopy(m), SETTINGS, seed, stop) for m, seed in zip(models, SEEDS)
    ]


def together(models, stop=None) -> list:
    found = dict(batched.train(copy.deepcopy(models), SEEDS, SETTINGS, CPU, stop))
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
        batched.Stack, "keep", lambda self, rows: (kept.append(rows), keep(self, rows))
    )
    expected = alone(models, stop)
    assert [history["step"][-1] for history in expected] == [6, 3, 3, 15, 15]
    assert_same(together(models, stop), expected)
    assert kept == [[0, 3, 4], [1, 2]]


def test_an_ended_model_is_given_at_once_and_not_recorded_further(monkeypatch):
    """One of five is no reason to make the stack smaller, so it goes on unrecorded."""
    models = copiers()
    first = alone(models)[1]["loss"][1]
    monkeypatch.setattr(batched.Stack, "keep", None)
    given = batched.train(
        models, SEEDS, SETTINGS, CPU, lambda history: abs(history["loss"][-1] - first) < 1e-7
    )
    index, history = next(given)
    assert (index, history["step"]) == (1, [0, 3])
    rest = dict(given)
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
        settings = training.Settings(12, 12, True, batch_size=batch_size)
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


class StandIn:
    """Does on a CPU what a CUDA graph does: a capture has no effect, a replay repeats it."""

    stack = None
    streams = None
    captures = 0
    fails = False

    def replay(self):
        self.stack.graph_losses.copy_(self.stack._update(self.stack.graph_source))


@contextlib.contextmanager
def stand_in_capture(graph):
    stack = graph.stack = StandIn.stack
    StandIn.captures += 1
    state = stack.optimizer.state
    assert state, "Adam's state has to be there before a capture"
    assert all(parameter.grad is None for parameter in stack.parameters.values())
    saved = [parameter.detach().clone() for parameter in stack.parameters.values()]
    moments = {
        parameter: {key: value.clone() for key, value in values.items()}
        for parameter, values in state.items()
    }
    yield
    with torch.no_grad():
        for parameter, before in zip(stack.parameters.values(), saved):
            parameter.copy_(before)
    for parameter, values in moments.items():
        for key, value in values.items():
            state[parameter][key].copy_(value)
    if StandIn.fails:  # and leaves its stream, as torch.cuda.graph does
        StandIn.streams.append("the capture's")
        raise RuntimeError("operation not permitted when stream is capturing")


@pytest.fixture
def graphs(monkeypatch):
    """Stacks that capture and replay, with stand-ins for what only CUDA has."""

    class Captured(batched.Stack):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.capturable = True
            StandIn.stack = self

        def _adam(self):
            return torch.optim.Adam(self.parameters.values(), lr=self.lr, fused=True)

        def side_stream(self):
            return contextlib.nullcontext()

    streams = ["the default one"]
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: streams[-1])
    monkeypatch.setattr(torch.cuda, "set_stream", streams.append)
    monkeypatch.setattr(StandIn, "streams", streams)
    monkeypatch.setattr(batched, "Stack", Captured)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", StandIn)
    monkeypatch.setattr(torch.cuda, "graph", stand_in_capture)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(StandIn, "captures", 0)
    monkeypatch.setattr(StandIn, "fails", False)


def test_steps_replayed_from_a_graph_are_the_same_steps(graphs):
    models = copiers()
    assert_same(together(models), alone(models))
    assert StandIn.captures == 1


def test_a_smaller_stack_is_captured_anew(graphs):
    models = copiers()
    losses = [history["loss"][2] for history in alone(models)]

    def stop(history) -> bool:  # models 3 and 4, at step 6
        return (
            len(history["loss"]) == 3
            and min(abs(history["loss"][2] - loss) for loss in losses[3:]) < 1e-7
        )

    assert_same(together(models, stop), alone(models, stop))
    assert StandIn.captures == 2


def test_where_no_graph_can_be_captured_it_goes_on_without(graphs, monkeypatch, capsys):
    monkeypatch.setattr(StandIn, "fails", True)
    models = multihead()
    assert_same(together(models), alone(models))
    assert StandIn.captures == 1
    assert "no CUDA graph" in capsys.readouterr().out
    assert torch.cuda.current_stream() == "the default one"


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
