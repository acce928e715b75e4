"""Sizes of encoders that have as many parameters as the published one of the same config."""

import math


def bilstm_parameters(features: int, hidden: int) -> int:
    """Of one layer: two directions, four gates, each with W_ih, W_hh and two biases."""
    return 2 * 4 * hidden * (features + hidden + 2)


def positive_root(a: float, b: float, c: float) -> int:
    """The x > 0 with ``a x^2 + b x = c``, rounded, at least 1."""
    return max(1, round((math.sqrt(b * b + 4 * a * c) - b) / (2 * a)))


def feed_forward_size(width: int, parameters: int) -> int:
    """Units F of a transformer layer's feed-forward part, for ``parameters`` in the layer.

    Attention has four matrices and biases, ``4 d (d + 1)``; three layer norms have ``6 d``; the
    feed-forward part has ``F (2 d + 1) + d``. At least 1: a layer of width d cannot be smaller
    than its attention.
    """
    return max(1, round((parameters - 4 * width * (width + 1) - 7 * width) / (2 * width + 1)))
