"""The logistic word baseline β^lr: a logistic regression on the relative counts of words."""

import warnings

import numpy as np
from scipy.sparse import csr_matrix

from attention_dynamics import cli
from attention_dynamics.analysis.evidence import gold_evidence
from attention_dynamics.classification.data import Sentences
from attention_dynamics.cli import InputError

STRENGTHS = [10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5]  # C: weaker and weaker
HELD_OUT = 0.1  # of the training set
MAX_ITERATIONS = 1000  # of L-BFGS


def relative_counts(sentences: Sentences, vocab_size: int) -> csr_matrix:
    """Each word's share of each sentence's tokens: float64 (sentences, vocabulary)."""
    tokens, lengths = sentences.tokens, sentences.tokens.lengths
    shares = csr_matrix(
        (np.repeat(1 / lengths, lengths), tokens.values, tokens.offsets),
        shape=(len(sentences), vocab_size),
        copy=True,  # its rows are sorted in place
    )
    shares.sum_duplicates()
    return shares


def fit(
    shares: csr_matrix, labels: np.ndarray, strength: float
) -> tuple[np.ndarray, float | list[float]]:
    """β and b that minimize the summed loss + |β|² / (2 ``strength``).

    β (vocabulary,) and a number, for label 1; of K > 2 labels (vocabulary, K) and K numbers, of a
    multinomial regression.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # Shares are small. With rows of norm 1 or so L-BFGS takes half the steps to the same solution.
    scale = 1 / np.sqrt(shares.multiply(shares).sum(axis=1).mean())
    model = LogisticRegression(C=strength / scale**2, tol=1e-6, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        # where there is hardly any regularisation; such a fit is not the one chosen
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(shares * scale, labels)
    return model.coef_.T.squeeze() * scale, model.intercept_.squeeze().tolist()


def choose_strength(
    shares: csr_matrix, labels: np.ndarray, seed: int, n_labels: int = 2
) -> tuple[float, float]:
    """The strength with the lowest loss on what is held out, and that loss."""
    order = np.random.default_rng(seed).permutation(len(labels))
    held_out, rest = np.split(order, [max(1, int(HELD_OUT * len(order)))])
    if len(np.unique(labels[rest])) < n_labels:
        raise InputError("the training set has too few sentences of one label: prepare more data")
    best_strength, best_loss = STRENGTHS[0], np.inf
    for strength in cli.progress_bar(STRENGTHS, unit="fit"):
        beta, bias = fit(shares[rest], labels[rest], strength)
        logits = shares[held_out] @ beta + bias
        # -log p(gold) from the log-odds
        loss = float(np.logaddexp(0, -gold_evidence(logits, labels[held_out])).mean())
        cli.say(f"C {strength:8.0f}   validation loss {loss:.4f}")
        if loss > best_loss:
            break  # it only rises from here, and fits take longer and longer
        best_strength, best_loss = strength, loss
    return best_strength, best_loss
