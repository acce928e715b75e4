"""The encoders' formulas in numpy, of one sentence, position after position.

For both tasks. ``weights`` are those of an encoder, by the names of its parameters, in float64.
"""

import numpy as np
from scipy.special import expit


def states_in_order(cell, inputs, weights, suffix):
    """The states of one direction, and the last cell state (0 of a GRU)."""
    w_ih, w_hh, b_ih, b_hh = (
        weights[f"{name}_l0{suffix}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = c = np.zeros(w_hh.shape[1])
    states = []
    for x in inputs:
        h, c = cell(w_ih @ x + b_ih, w_hh @ h + b_hh, h, c)
        states.append(h)
    return states, c


def lstm_cell(from_x, from_h, h, c):
    i, f, g, o = np.split(from_x + from_h, 4)
    c = expit(f) * c + expit(i) * np.tanh(g)
    return expit(o) * np.tanh(c), c


def gru_cell(from_x, from_h, h, c):
    (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(from_x, 3), np.split(from_h, 3)
    r, z = expit(x_r + h_r), expit(x_z + h_z)
    return (1 - z) * np.tanh(x_n + r * h_n) + z * h, c


def both_directions(cell, inputs, weights):
    """States, and the mean over the directions of the final h and c."""
    forward, c = states_in_order(cell, inputs, weights, "")
    backward, c_back = states_in_order(cell, inputs[::-1], weights, "_reverse")
    states = [np.concatenate(pair) for pair in zip(forward, backward[::-1])]
    return np.array(states), (forward[-1] + backward[-1]) / 2, (c + c_back) / 2


def layer_norm(x, weights, name):
    deviation = np.sqrt(((x - x.mean()) ** 2).mean() + 1e-5)
    return (x - x.mean()) / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def transformer_states(inputs, weights):
    def linear(name, x):
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    d = inputs.shape[1]
    x = inputs.copy()
    for position in range(len(x)):
        for i in range(d):
            angle = position / 10000 ** (2 * (i // 2) / d)
            x[position, i] += np.cos(angle) if i % 2 else np.sin(angle)
    q, k, v = zip(
        *(
            np.split(linear("query_key_value", layer_norm(t, weights, "attention_norm")), 3)
            for t in x
        )
    )
    states = []
    for position, token in enumerate(x):
        alpha = np.exp([q[position] @ other / np.sqrt(d) for other in k])
        context = sum(a * other for a, other in zip(alpha / alpha.sum(), v))
        token = token + linear("projection", context)
        inner = linear("feed_forward.0", layer_norm(token, weights, "feed_forward_norm"))
        token = token + linear("feed_forward.1", np.maximum(inner, 0))
        states.append(layer_norm(token, weights, "norm"))
    return np.array(states)


def weights_of(weights, prefix):
    """The weights whose names start with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): weight
        for name, weight in weights.items()
        if name.startswith(prefix)
    }


# name: (inputs (length, features), weights) -> states (length, width)
CLASSIFICATION = {
    "bilstm": lambda inputs, weights: both_directions(lstm_cell, inputs, weights)[0],
    "gru": lambda inputs, weights: both_directions(gru_cell, inputs, weights)[0],
    "transformer": transformer_states,
    "average": lambda inputs, weights: inputs,
}


def translation_bilstm(inputs, weights, n_layers):
    h, c = [], []
    for layer in range(n_layers):
        inputs, last, last_c = both_directions(lstm_cell, inputs, weights_of(weights, f"{layer}."))
        h.append(last)
        c.append(last_c)
    return inputs, h, c


def translation_gru(inputs, weights, n_layers):
    h = []
    for layer in range(n_layers):
        inputs, last, _ = both_directions(gru_cell, inputs, weights_of(weights, f"layers.{layer}."))
        h.append(weights[f"to_decoder.{layer}.weight"] @ last + weights[f"to_decoder.{layer}.bias"])
    return inputs, h, np.zeros_like(h)


def translation_transformer(inputs, weights, n_layers):
    states = transformer_states(inputs, weights_of(weights, "layer."))
    h = np.array([states.mean(axis=0)] * n_layers)
    return states, h, np.zeros_like(h)


def translation_average(inputs, weights, n_layers):
    h = np.array([inputs.mean(axis=0)] * n_layers)
    return inputs, h, np.zeros_like(h)


# name: (inputs, weights, n_layers) -> states, h and c (n_layers, hidden)
TRANSLATION = {
    "bilstm": translation_bilstm,
    "gru": translation_gru,
    "transformer": translation_transformer,
    "average": translation_average,
}
