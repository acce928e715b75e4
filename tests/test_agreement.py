"""Agreement metrics, against their definitions row by row, and against scipy."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from attention_dynamics.analysis.metrics import (
    DEFAULT,
    METRICS,
    kendall,
    pearson,
    spearman,
    top5,
)
from attention_dynamics.analysis.metrics.rows import mean_agreement, shuffle

LENGTHS = [1, 2, 3, 19, 20, 21, 40, 41, 60, 61, 139, 140, 141, 200]


def allowed(n):
    """ceil(0.05 n), without rounding."""
    return math.ceil(Fraction(n, 20))


def plain_top5_match(u, v):
    """One row, word for word: the definition."""
    at = max(range(len(u)), key=lambda i: u[i])
    greater = sum(1 for value in v if value > v[at])
    return 1 if greater < allowed(len(v)) else 0


def plain_kendall_tau(u, v):
    """tau-b from its definition, over all pairs."""
    concordance = u_pairs = v_pairs = 0
    for i in range(len(u)):
        for j in range(i):
            du, dv = np.sign(u[i] - u[j]), np.sign(v[i] - v[j])
            concordance += du * dv
            u_pairs += du != 0
            v_pairs += dv != 0
    return concordance / math.sqrt(u_pairs * v_pairs) if u_pairs and v_pairs else math.nan


def scipy_kendall_tau(u, v):
    if len(u) < 2:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kendalltau(u, v, variant="b").statistic


def scipy_spearman(u, v):
    if len(u) < 2:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return spearmanr(u, v).statistic


def scipy_pearson(u, v):
    if len(u) < 2:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pearsonr(u.astype(np.float64), v.astype(np.float64)).statistic


def rows_of(flat, offsets):
    return np.split(flat, offsets[1:-1])


def random_rows(seed, lengths, kind, dtype):
    """Two flat arrays of rows; ``kind`` says how many ties there are."""
    rng = np.random.default_rng(seed)
    lengths = rng.permutation(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    total = offsets[-1]
    if kind == "no ties":
        u, v = rng.normal(size=total), rng.normal(size=total)
    elif kind == "some ties":
        u, v = rng.integers(0, 30, total), rng.integers(0, 15, total)
    elif kind == "many ties":
        u, v = rng.integers(0, 3, total), rng.integers(0, 2, total)
    elif kind == "related":
        u = rng.normal(size=total)
        v = u + 0.3 * rng.normal(size=total)
    elif kind == "attention":  # close values, of which float32 makes some equal
        u, v = 1 / 7 + 1e-8 * rng.normal(size=total), 1 / 7 + 1e-8 * rng.normal(size=total)
    return u.astype(dtype), v.astype(dtype), offsets


KINDS = ["no ties", "some ties", "many ties", "related", "attention"]


# Top-5% match


def test_hand_worked_example():
    # 21 entries: ceil(1.05) = 2, so one entry may be greater than the one where u is largest
    v = np.zeros(21)
    v[[4, 8, 9]] = 3, 2, 1
    for at, expected in ((4, 1), (8, 1), (9, 0), (0, 0)):
        u = np.zeros(21)
        u[at] = 1
        assert top5.match(u, v, np.array([0, 21])).tolist() == [expected]
    # ties do not count as greater: of 20 equal entries each is in the top 5%
    assert top5.match(np.arange(20.0), np.ones(20), np.array([0, 20])).tolist() == [1]
    # rows of 1 always match; of 2 only where the largest of one is the largest of the other
    u = np.array([0.3, 0.1, 0.9, 0.1, 0.9])
    v = np.array([-5, 2.0, 1.0, 1.0, 2.0])
    assert top5.match(u, v, np.array([0, 1, 3, 5])).tolist() == [1, 0, 1]


@pytest.mark.parametrize("n", [1, 2, 19, 20, 21, 39, 40, 41, 60, 100, 120, 140, 141, 280, 400, 560])
def test_ceil_of_5_percent_is_exact(n):
    v = np.arange(n, dtype=float)
    offsets = np.array([0, n])
    matching = []
    for greater in range(n):
        u = np.zeros(n)
        u[n - 1 - greater] = 1
        matching.append(bool(top5.match(u, v, offsets)[0]))
    assert matching == [greater < allowed(n) for greater in range(n)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_top5_match_is_the_plain_one_for_each_row(kind, dtype):
    u, v, offsets = random_rows(0, LENGTHS * 15, kind, dtype)
    expected = [plain_top5_match(*rows) for rows in zip(rows_of(u, offsets), rows_of(v, offsets))]
    assert 0 < np.mean(expected) < 1
    assert top5.match(u, v, offsets).tolist() == expected
    assert METRICS["top 5% match"].match(u, v, offsets).tolist() == expected


def test_row_argmax_is_the_first_of_equals():
    u, _, offsets = random_rows(1, LENGTHS * 3, "many ties", np.float64)
    expected = [start + np.argmax(row) for start, row in zip(offsets, rows_of(u, offsets))]
    assert top5.row_argmax(u, offsets).tolist() == expected


# Kendall's tau


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_kendall_tau_is_scipys_for_each_row(kind, dtype):
    u, v, offsets = random_rows(2, [*LENGTHS, 5, 7, 8] * 4, kind, dtype)
    expected = [scipy_kendall_tau(*rows) for rows in zip(rows_of(u, offsets), rows_of(v, offsets))]
    np.testing.assert_allclose(kendall.match(u, v, offsets), expected, rtol=0, atol=1e-12)


def test_kendall_tau_is_its_definition():
    u, v, offsets = random_rows(3, list(range(1, 25)) * 2, "some ties", np.float64)
    expected = [plain_kendall_tau(*rows) for rows in zip(rows_of(u, offsets), rows_of(v, offsets))]
    np.testing.assert_allclose(kendall.match(u, v, offsets), expected, rtol=0, atol=1e-12)


def test_kendall_tau_worked_by_hand():
    u = np.array([1.0, 2, 3, 4, 1, 1, 2])
    v = np.array([1.0, 3, 2, 4, 5, 6, 7])
    # row 1: 5 pairs in order, 1 not. Row 2: one pair tied in u, so 2 / sqrt(2 * 3)
    np.testing.assert_allclose(kendall.match(u, v, np.array([0, 4, 7])), [4 / 6, 2 / 6**0.5])


def test_kendall_tau_is_nan_where_it_is_undefined():
    u = np.array([1.0, 2, 2, 2, 2, 1, 2, 3, 5, 1, 2])
    v = np.array([9.0, 1, 1, 1, 2, 4, 4, 4, 5, 2, 1])
    #              n = 1 | both   | u   | v const | 1 | defined
    offsets = np.array([0, 1, 3, 5, 8, 9, 11])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tau = kendall.match(u, v, offsets)
    assert np.isnan(tau).tolist() == [True] * 5 + [False]
    assert tau[-1] == -1


def test_kendall_tau_of_a_long_row():
    u, v, offsets = random_rows(4, [3000, 1, 1200], "some ties", np.float32)
    expected = [scipy_kendall_tau(*rows) for rows in zip(rows_of(u, offsets), rows_of(v, offsets))]
    np.testing.assert_allclose(kendall.match(u, v, offsets), expected, rtol=0, atol=1e-12)


# Spearman's rank correlation


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_spearman_is_scipys_for_each_row(kind, dtype):
    u, v, offsets = random_rows(9, [*LENGTHS, 2, 2, 3, 5, 7, 8] * 4, kind, dtype)
    expected = [scipy_spearman(*rows) for rows in zip(rows_of(u, offsets), rows_of(v, offsets))]
    assert np.isnan(expected).any() and not np.isnan(expected).all()
    np.testing.assert_allclose(spearman.match(u, v, offsets), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(
        METRICS["spearman"].match(u, v, offsets), spearman.match(u, v, offsets)
    )


def test_spearman_worked_by_hand():
    u = np.array([1.0, 2, 3, 4, 1, 1, 2, 7, 3])
    v = np.array([1.0, 3, 2, 4, 5, 6, 7, 1, 2])
    # row 1: 1 - 6 * 2 / (4 * 15). Row 2: ranks 1.5 1.5 3 and 1 2 3: 1.5 / sqrt(1.5 * 2). Row 3: -1
    expected = [0.8, 1.5 / 3**0.5, -1]
    np.testing.assert_allclose(spearman.match(u, v, np.array([0, 4, 7, 9])), expected, rtol=1e-15)


def test_spearman_is_nan_where_it_is_undefined():
    u = np.array([1.0, 2, 2, 2, 2, 1, 2, 3, 5, 1, 2])
    v = np.array([9.0, 1, 1, 1, 2, 4, 4, 4, 5, 2, 1])
    #              n = 1 | both   | u   | v const | 1 | defined
    offsets = np.array([0, 1, 3, 5, 8, 9, 11])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rho = spearman.match(u, v, offsets)
    assert np.isnan(rho).tolist() == [True] * 5 + [False]
    assert rho[-1] == -1


def test_spearman_of_a_long_row():
    u, v, offsets = random_rows(10, [30000, 1, 1200], "some ties", np.float32)
    expected = [scipy_spearman(*rows) for rows in zip(rows_of(u, offsets), rows_of(v, offsets))]
    np.testing.assert_allclose(spearman.match(u, v, offsets), expected, rtol=0, atol=1e-12)


# Pearson's r


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_pearson_is_scipys_for_each_row(kind, dtype):
    u, v, offsets = random_rows(12, [*LENGTHS, 2, 2, 3, 5, 7, 8] * 4, kind, dtype)
    expected = [scipy_pearson(*rows) for rows in zip(rows_of(u, offsets), rows_of(v, offsets))]
    assert np.isnan(expected).any() and not np.isnan(expected).all()
    np.testing.assert_allclose(pearson.match(u, v, offsets), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(
        METRICS["pearson"].match(u, v, offsets), pearson.match(u, v, offsets)
    )


def test_pearson_worked_by_hand():
    u = np.array([1.0, 2, 3, 4, 1, 1, 2, 7, 3])
    v = np.array([1.0, 3, 2, 4, 5, 6, 8, 1, 2])
    # row 1: 4 / 5. Row 2: less their means -1 -1 2 and -4 -1 5, thirds: 15 / sqrt(6 * 42)
    expected = [0.8, 15 / 252**0.5, -1]
    np.testing.assert_allclose(pearson.match(u, v, np.array([0, 4, 7, 9])), expected, rtol=1e-14)


def test_pearson_is_nan_where_it_is_undefined():
    # means of 0.1 and of 0.7 are rounded, so a constant row less its mean is not exactly 0
    u = np.array([1.0, 0.1, 0.1, 0.1, 2, 1, 3, 1, 2, 3, 5, 1, 2])
    v = np.array([9.0, 0.7, 0.7, 0.7, 2, 4, 1, 0.7, 0.7, 0.7, 5, 2, 1])
    #            n = 1 | both           | defined | v constant | 1 | defined
    offsets = np.array([0, 1, 4, 7, 10, 11, 13])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        r = pearson.match(u, v, offsets)
    assert np.isnan(r).tolist() == [True, True, False, True, True, False]
    assert r[-1] == pytest.approx(-1) and abs(r[-1]) <= 1


def test_pearson_of_a_long_row_and_of_small_values():
    u, v, offsets = random_rows(13, [30000, 1, 1200], "related", np.float32)
    expected = [scipy_pearson(*rows) for rows in zip(rows_of(u, offsets), rows_of(v, offsets))]
    np.testing.assert_allclose(pearson.match(u, v, offsets), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        pearson.match(u * np.float32(1e-30), v, offsets), expected, rtol=0, atol=1e-6
    )


# The table


def test_the_table():
    assert list(METRICS) == ["top 5% match", "kendall tau", "spearman", "pearson"]
    assert DEFAULT == "top 5% match"
    flags = [metric.flag for metric in METRICS.values()]
    assert flags == [None, "--include_kendall_tau", "--include_spearman", "--include_pearson"]
    assert all(name == metric.name and metric.help for name, metric in METRICS.items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_is_its_plain_one_row_by_row(metric, kind):
    u, v, offsets = random_rows(14, LENGTHS * 3, kind, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [metric.plain(*rows) for rows in zip(rows_of(u, offsets), rows_of(v, offsets))]
    found = metric.match(u, v, offsets).astype(np.float64)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.nanmax(abs(found)) <= 1 + 1e-12


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_chance_is_the_mean_of_shuffled_rows(metric):
    u, v, offsets = random_rows(15, [*LENGTHS, 5, 9] * 40, "related", np.float64)
    values = metric.shuffled(u, v, offsets, np.random.default_rng(0)).astype(np.float64)
    lengths = np.diff(offsets)[~np.isnan(values)]
    values = values[~np.isnan(values)]
    error = values.std() / len(values) ** 0.5
    assert mean_agreement(metric.match(u, v, offsets)) > metric.chance(lengths) + 10 * error
    assert abs(values.mean() - metric.chance(lengths)) < 4 * error


# Shuffled baselines


def test_shuffled_keeps_each_rows_values_and_repeats_with_the_seed():
    _, v, offsets = random_rows(5, LENGTHS * 20, "some ties", np.float64)
    before = v.copy()
    mixed = shuffle(v, offsets, np.random.default_rng(1))
    assert (v == before).all()
    for row, mixed_row in zip(rows_of(v, offsets), rows_of(mixed, offsets)):
        assert sorted(row) == sorted(mixed_row)
    assert (mixed == shuffle(v, offsets, np.random.default_rng(1))).all()
    assert (mixed != shuffle(v, offsets, np.random.default_rng(2))).any()


def test_shuffled_gives_every_order_equally_often():
    offsets = np.arange(0, 3 * 6000 + 1, 3)
    mixed = shuffle(np.tile([0, 1, 2], 6000), offsets, np.random.default_rng(0)).reshape(-1, 3)
    orders, counts = np.unique(mixed, axis=0, return_counts=True)
    assert len(orders) == 6
    # 1000 each; the standard deviation is sqrt(6000 * 1/6 * 5/6) = 29
    assert abs(counts - 1000).max() < 5 * 29


@pytest.mark.parametrize("metric", METRICS)
def test_shuffled_metrics_repeat_with_the_seed(metric):
    u, v, offsets = random_rows(6, LENGTHS * 5, "some ties", np.float32)
    match_shuffled = METRICS[metric].shuffled
    first, again, other = (
        match_shuffled(u, v, offsets, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert len(first) == len(offsets) - 1
    assert (first != other).any()


@pytest.mark.parametrize("kind", ["no ties", "some ties", "many ties"])
def test_top5_match_shuffled_has_the_expectation_of_a_plain_shuffle(kind):
    u, v, offsets = random_rows(7, [1, 2, 3, 5, 19, 20, 21, 41] * 4, kind, np.float64)
    # after a shuffle each entry of v is equally likely to stand where u is largest
    expected = [
        np.mean([(row > value).sum() < allowed(len(row)) for value in row])
        for row in rows_of(v, offsets)
    ]
    seeds = 2000
    rng = np.random.default_rng(0)
    fast = sum(top5.match_shuffled(u, v, offsets, rng).astype(int) for _ in range(seeds)) / seeds
    plain = (
        sum(top5.match(u, shuffle(v, offsets, rng), offsets).astype(int) for _ in range(seeds))
        / seeds
    )
    error = np.sqrt(np.multiply(expected, np.subtract(1, expected)) / seeds)
    assert (abs(fast - expected) <= 5 * error + 1e-12).all()
    assert (abs(plain - expected) <= 5 * error + 1e-12).all()
    total_error = np.sqrt((error**2).sum()) / len(error)
    assert abs(fast.mean() - np.mean(expected)) < 4 * total_error


def test_kendall_tau_shuffled_is_zero_on_average_and_that_of_the_shuffle():
    u, v, offsets = random_rows(8, [10] * 3000, "related", np.float64)
    assert kendall.match(u, v, offsets).mean() > 0.5
    tau = kendall.METRIC.shuffled(u, v, offsets, np.random.default_rng(3))
    # the variance of tau without ties is 2 (2n + 5) / (9 n (n - 1))
    assert abs(tau.mean()) < 4 * math.sqrt(2 * 25 / (9 * 10 * 9) / 3000)
    by_hand = kendall.match(u, shuffle(v, offsets, np.random.default_rng(3)), offsets)
    np.testing.assert_array_equal(tau, by_hand)


def test_spearman_shuffled_is_zero_on_average_and_that_of_the_shuffle():
    u, v, offsets = random_rows(11, [10] * 3000, "related", np.float64)
    assert spearman.match(u, v, offsets).mean() > 0.5
    rho = spearman.METRIC.shuffled(u, v, offsets, np.random.default_rng(3))
    # the variance of rho without ties is 1 / (n - 1)
    assert abs(rho.mean()) < 4 * math.sqrt(1 / 9 / 3000)
    by_hand = spearman.match(u, shuffle(v, offsets, np.random.default_rng(3)), offsets)
    np.testing.assert_array_equal(rho, by_hand)


# The mean


def test_mean_agreement_leaves_out_rows_that_are_undefined():
    assert mean_agreement(np.array([0.5, np.nan, -1.0, np.nan])) == -0.25
    assert mean_agreement(np.array([True, False, True, True])) == 0.75
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(mean_agreement(np.array([np.nan, np.nan])))
    assert type(mean_agreement(np.array([1.0], dtype=np.float32))) is float
