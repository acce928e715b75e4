"""The segmented biLSTM against the plain way, and that against one sentence at a time.

In double precision.
"""

import itertools

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from attention_dynamics.kernels import lstm as recurrent
from attention_dynamics.kernels.gru import bigru
from attention_dynamics.kernels.lstm import bilstm, bilstm_segments, segment_starts
from attention_dynamics.kernels.plain import packed

CASES = {
    "ragged": [5, 1, 9, 3, 1, 7, 9, 2],
    "all equal": [6] * 5,
    "single": [11],
    "single token": [1],
    "all of one token": [1, 1, 1],
    "one very long": [1, 2, 300, 4, 2],
    "rising": list(range(1, 12)),
    "falling": list(range(11, 0, -1)),
    "two groups": [2] * 10 + [80] * 2 + [3] * 4,
}
WAYS = {"segments": bilstm_segments, "packed": packed}
RNNS = {
    "LSTM": lambda: nn.LSTM(4, 3, bidirectional=True),
    "GRU": lambda: nn.GRU(4, 3, bidirectional=True),
    "tanh": lambda: nn.RNN(4, 3),
    "ReLU": lambda: nn.RNN(4, 3, nonlinearity="relu", bias=False),
    "one direction": lambda: nn.LSTM(4, 5),
    "three layers": lambda: nn.LSTM(4, 3, num_layers=3, bidirectional=True),
    "two layers of GRU": lambda: nn.GRU(4, 2, num_layers=2),
}


def make_lstm(features=4, hidden=3, layers=1, bias=True, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    lstm = nn.LSTM(features, hidden, num_layers=layers, bias=bias, bidirectional=True)
    return lstm.to(dtype)


def one_by_one(rnn, inputs, lengths, state=None):
    """The module itself, a sentence at a time; each starts from its part of ``state``."""
    outputs, finals = [], []
    for i, sentence in enumerate(inputs.split(lengths.tolist())):
        start = state
        if isinstance(state, tuple):
            start = tuple(part[:, i] for part in state)
        elif state is not None:
            start = state[:, i]
        output, final = rnn(sentence, start)
        outputs.append(output)
        finals.append(final if isinstance(final, tuple) else (final,))
    final = tuple(torch.stack(parts, dim=1) for parts in zip(*finals))
    return torch.cat(outputs), final if isinstance(rnn, nn.LSTM) else final[0]


def results_and_gradients(way, rnn, inputs, lengths, seed=1, state=None):
    """Outputs, final states, and the gradients of a random function of all of them."""
    inputs = inputs.clone().requires_grad_()
    output, final = way(rnn, inputs, lengths) if state is None else way(rnn, inputs, lengths, state)
    results = [output, *(final if isinstance(final, tuple) else (final,))]
    generator = torch.Generator().manual_seed(seed)
    loss = 0
    for tensor in results:
        weights = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        loss = loss + (tensor * weights.to(tensor.dtype)).sum()
    gradients = torch.autograd.grad(loss, [inputs, *rnn.parameters()])
    return [*results, *gradients]


def assert_close(ours, expected, atol=1e-12):
    for our, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(our, other, rtol=0, atol=atol)


# The plain way


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rnn", RNNS)
@pytest.mark.slow
def test_packed_is_the_module_on_each_sentence(rnn, case):
    torch.manual_seed(0)
    module, lengths = RNNS[rnn]().double(), torch.tensor(CASES[case])
    inputs = torch.randn(int(lengths.sum()), 4, dtype=torch.float64)
    assert_close(
        results_and_gradients(packed, module, inputs, lengths),
        results_and_gradients(one_by_one, module, inputs, lengths),
        atol=1e-11,
    )


@pytest.mark.parametrize("rnn", ["LSTM", "GRU", "three layers"])
def test_packed_starts_from_a_state(rnn):
    torch.manual_seed(0)
    module, lengths = RNNS[rnn]().double(), torch.tensor(CASES["ragged"])
    inputs = torch.randn(int(lengths.sum()), 4, dtype=torch.float64)
    h, c = torch.randn(2, 2 * module.num_layers, len(lengths), 3, dtype=torch.float64)
    state = (h, c) if isinstance(module, nn.LSTM) else h
    assert_close(
        results_and_gradients(packed, module, inputs, lengths, state=state),
        results_and_gradients(one_by_one, module, inputs, lengths, state=state),
    )


def test_packed_runs_a_module_whose_forward_is_another():
    """An encoder is a recurrent layer with the forward of an encoder."""

    class Encoder(nn.GRU):
        def forward(self, embedded, lengths):
            return packed(self, embedded, lengths)[0]

    torch.manual_seed(0)
    encoder, lengths = Encoder(4, 3), torch.tensor([2, 5, 1])
    inputs = torch.randn(8, 4)
    gru = nn.GRU(4, 3)
    gru.load_state_dict(encoder.state_dict())
    assert_close([encoder(inputs, lengths)], [one_by_one(gru, inputs, lengths)[0]], atol=1e-6)


def lstm_formula(x, h, c, w_ih, w_hh, b_ih, b_hh):
    i, f, g, o = np.split(w_ih @ x + b_ih + w_hh @ h + b_hh, 4)
    c = expit(f) * c + expit(i) * np.tanh(g)
    return expit(o) * np.tanh(c), c


def gru_formula(x, h, c, w_ih, w_hh, b_ih, b_hh):
    (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(w_ih @ x + b_ih, 3), np.split(w_hh @ h + b_hh, 3)
    z = expit(x_z + h_z)
    return (1 - z) * np.tanh(x_n + expit(x_r + h_r) * h_n) + z * h, c


@pytest.mark.parametrize(("rnn", "formula"), [("LSTM", lstm_formula), ("GRU", gru_formula)])
def test_packed_is_the_formula_of_a_cell(rnn, formula):
    """Token after token, in numpy."""
    torch.manual_seed(0)
    module, lengths = RNNS[rnn]().double(), torch.tensor([3, 1, 6, 6, 1])
    inputs = torch.randn(17, 4, dtype=torch.float64)
    output, _ = packed(module, inputs, lengths)
    weights = [weight.detach().numpy() for weight in module.parameters()]
    for sentence, found in zip(inputs.split(lengths.tolist()), output.split(lengths.tolist())):
        for direction, part in enumerate(found.detach().chunk(2, dim=1)):
            h, c = np.zeros(3), np.zeros(3)
            tokens = list(zip(sentence.numpy(), part.numpy()))
            for x, expected in reversed(tokens) if direction else tokens:
                h, c = formula(x, h, c, *weights[4 * direction : 4 * direction + 4])
                np.testing.assert_allclose(h, expected, rtol=0, atol=1e-13)


# The fast way


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("case", CASES)
def test_outputs_states_and_gradients_are_those_of_the_plain_way(case, bias):
    lstm, lengths = make_lstm(bias=bias), torch.tensor(CASES[case])
    inputs = torch.randn(int(lengths.sum()), 4, dtype=torch.float64)
    assert_close(
        results_and_gradients(bilstm_segments, lstm, inputs, lengths),
        results_and_gradients(packed, lstm, inputs, lengths),
        atol=1e-11,
    )


@pytest.mark.parametrize("segment_cost", [0, 1, 5, 30, 100, 10**6])
@pytest.mark.parametrize("seed", range(3))
def test_any_segments_give_the_same(segment_cost, seed, monkeypatch):
    def starts(lengths):
        return segment_starts(lengths, segment_cost)

    monkeypatch.setattr(recurrent, "segment_starts", starts)
    lstm = make_lstm(seed=seed)
    lengths = torch.from_numpy(np.random.default_rng(seed).integers(1, 30, size=12))
    inputs = torch.randn(int(lengths.sum()), 4, dtype=torch.float64)
    assert_close(
        results_and_gradients(bilstm_segments, lstm, inputs, lengths),
        results_and_gradients(one_by_one, lstm, inputs, lengths),
    )


def test_float32_is_close_to_the_plain_way():
    lstm = make_lstm(16, 8, dtype=torch.float32)
    lengths = torch.from_numpy(np.random.default_rng(0).integers(1, 60, size=20))
    inputs = torch.randn(int(lengths.sum()), 16)
    ours = results_and_gradients(bilstm_segments, lstm, inputs, lengths)
    plain = results_and_gradients(packed, lstm, inputs, lengths)
    assert_close(ours[:3], plain[:3], atol=1e-6)
    for our, other in zip(ours[3:], plain[3:]):
        assert (our - other).abs().max() <= 1e-5 * other.abs().max()


def test_without_gradients_too():
    lstm, lengths = make_lstm(dtype=torch.float32), torch.tensor(CASES["ragged"])
    inputs = torch.randn(int(lengths.sum()), 4)
    with_gradients = bilstm(lstm, inputs, lengths)
    with torch.no_grad():
        output, (hidden, cell) = bilstm(lstm, inputs, lengths)
    torch.testing.assert_close(output, with_gradients[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(hidden, with_gradients[1][0], rtol=0, atol=1e-6)
    torch.testing.assert_close(cell, with_gradients[1][1], rtol=0, atol=1e-6)


def test_layers_one_after_the_other_are_an_lstm_of_two_layers():
    lstm, lengths = make_lstm(layers=2), torch.tensor(CASES["ragged"])
    first, second = make_lstm(seed=1), make_lstm(features=6, seed=2)
    for number, layer in enumerate((first, second)):
        for name, weight in layer.named_parameters():
            weight.data = getattr(lstm, name.replace("l0", f"l{number}")).data
    layers = nn.ModuleList([first, second])

    def both_layers(layers, inputs, lengths):
        output, (h_0, c_0) = bilstm(layers[0], inputs, lengths)
        output, (h_1, c_1) = bilstm(layers[1], output, lengths)
        return output, (torch.cat([h_0, h_1]), torch.cat([c_0, c_1]))

    inputs = torch.randn(int(lengths.sum()), 4, dtype=torch.float64)
    assert_close(
        results_and_gradients(both_layers, layers, inputs, lengths),
        results_and_gradients(packed, lstm, inputs, lengths),
    )


@pytest.mark.parametrize("lstm", [nn.LSTM(4, 3), make_lstm(layers=2)])
def test_an_lstm_that_it_is_not_for(lstm):
    with pytest.raises(ValueError, match="of one layer"):
        bilstm(lstm.double(), torch.zeros(2, 4, dtype=torch.float64), torch.tensor([2]))


@pytest.mark.parametrize("way", WAYS)
def test_a_sentences_result_does_not_depend_on_the_others(way):
    lstm = make_lstm()
    sentences = [torch.randn(n, 4, dtype=torch.float64) for n in (3, 1, 8, 40)]
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    output, (hidden, cell) = WAYS[way](lstm, torch.cat(sentences), lengths)
    for i, (sentence, together) in enumerate(zip(sentences, output.split(lengths.tolist()))):
        alone, (h, c) = WAYS[way](lstm, sentence, lengths[i : i + 1])
        assert_close([together, hidden[:, [i]], cell[:, [i]]], [alone, h, c], atol=1e-14)
    # and no gradient crosses from one sentence to another
    inputs = torch.cat(sentences).requires_grad_()
    output, _ = WAYS[way](lstm, inputs, lengths)
    (gradient,) = torch.autograd.grad(output[4:12].sum(), inputs)
    assert (gradient[:4] == 0).all() and (gradient[12:] == 0).all()
    assert (gradient[4:12] != 0).all()


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e3, 1e6, 1e20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_inputs_give_numbers_and_the_same_as_the_packed_lstm(dtype, scale):
    lstm, lengths = make_lstm(dtype=dtype), torch.tensor([1, 7, 3, 400, 2])
    inputs = torch.randn(int(lengths.sum()), 4, dtype=dtype) * scale
    ours = results_and_gradients(bilstm_segments, lstm, inputs, lengths)
    expected = results_and_gradients(one_by_one, lstm, inputs, lengths)
    assert all(tensor.isfinite().all() for tensor in ours)
    assert_close(ours[:3], expected[:3], atol=1e-5 if dtype == torch.float32 else 1e-11)


@pytest.mark.parametrize("scale", [30.0, 1e3])
def test_extreme_weights_give_numbers_and_the_same_as_the_packed_lstm(scale):
    lstm, lengths = make_lstm(), torch.tensor([1, 7, 3, 400, 2])
    with torch.no_grad():
        for weight in lstm.parameters():
            weight *= scale
    inputs = torch.randn(int(lengths.sum()), 4, dtype=torch.float64)
    ours = results_and_gradients(bilstm_segments, lstm, inputs, lengths)
    assert all(tensor.isfinite().all() for tensor in ours)
    expected = one_by_one(lstm, inputs, lengths)
    # the cell may grow by one a step; its last digits go with its size
    assert_close(ours[:2], [expected[0], expected[1][0]], atol=1e-7)


# The GRU


@pytest.mark.parametrize("case", CASES)
def test_the_gru_is_that_of_the_plain_way(case):
    """Outputs, final states and gradients."""
    torch.manual_seed(0)
    module, lengths = nn.GRU(4, 3, bidirectional=True).double(), torch.tensor(CASES[case])
    inputs = torch.randn(int(lengths.sum()), 4, dtype=torch.float64)
    assert_close(
        results_and_gradients(bigru, module, inputs, lengths),
        results_and_gradients(one_by_one, module, inputs, lengths),
        atol=1e-11,
    )


def test_the_gru_in_float32():
    """At a size where the fast products are used."""
    torch.manual_seed(0)
    module = nn.GRU(80, 72, bidirectional=True)
    lengths = torch.from_numpy(np.random.default_rng(0).integers(1, 60, size=20))
    inputs = torch.randn(int(lengths.sum()), 80)
    ours = results_and_gradients(bigru, module, inputs, lengths)
    plain = results_and_gradients(packed, module, inputs, lengths)
    assert_close(ours[:2], plain[:2], atol=1e-5)
    for our, other in zip(ours[2:], plain[2:]):
        assert (our - other).abs().max() <= 1e-5 * other.abs().max()


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e3, 1e20])
def test_the_gru_of_extreme_inputs(scale):
    torch.manual_seed(0)
    module, lengths = nn.GRU(4, 3, bidirectional=True).double(), torch.tensor([1, 7, 3, 400, 2])
    inputs = scale * torch.randn(int(lengths.sum()), 4, dtype=torch.float64)
    ours = results_and_gradients(bigru, module, inputs, lengths)
    expected = results_and_gradients(one_by_one, module, inputs, lengths)
    assert all(tensor.isfinite().all() for tensor in ours)
    assert_close(ours[:2], expected[:2], atol=1e-11)


@pytest.mark.parametrize("rnn", [nn.GRU(4, 3), nn.GRU(4, 3, 2, bidirectional=True)])
def test_a_gru_that_it_is_not_for(rnn):
    with pytest.raises(ValueError, match="of one layer"):
        bigru(rnn, torch.zeros(2, 4), torch.tensor([2]))


# Segments


def cost_of(starts, lengths, segment_cost):
    """Area of the padded batches, plus the cost of each segment: the definition."""
    longest = max(lengths)
    area = 0
    for start, end in zip(starts, [*starts[1:], longest]):
        area += (end - start) * sum(longest - n < end for n in lengths)
    return area + segment_cost * len(starts)


@pytest.mark.parametrize("segment_cost", [0, 1, 3, 10, 100])
@pytest.mark.parametrize("seed", range(6))
def test_segments_are_the_cheapest_of_all(seed, segment_cost):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 11, size=rng.integers(1, 9))
    starts = segment_starts(lengths, segment_cost)
    longest = lengths.max()
    assert starts[0] == 0 and starts == sorted(set(starts)) and starts[-1] < longest
    cheapest = min(
        cost_of([0, *cuts], lengths, segment_cost)
        for count in range(longest)
        for cuts in itertools.combinations(range(1, longest), count)
    )
    assert cost_of(starts, lengths, segment_cost) == cheapest


def test_segments_at_the_extremes():
    assert segment_starts(np.array([5, 5, 5])) == [0]
    assert segment_starts(np.array([1])) == [0]
    assert segment_starts(np.array([1, 2, 3]), 10**9) == [0]
    assert segment_starts(np.array([1, 2, 3]), 0) == [0, 1, 2]
