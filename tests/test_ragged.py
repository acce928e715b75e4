"""attention_dynamics/analysis/ragged.py, against lists of lists."""

import numpy as np
import pytest

from attention_dynamics.analysis.ragged import Ragged, batches_by_length, offsets_of


def random_rows(rng, count, longest=9, shortest=0):
    return [rng.integers(0, 100, size=rng.integers(shortest, longest + 1)) for _ in range(count)]


def as_lists(rows):
    return [list(map(int, row)) for row in rows]


@pytest.mark.parametrize("shortest", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_rows_come_back_as_they_went_in(seed, shortest):
    rows = random_rows(np.random.default_rng(seed), 30, shortest=shortest)
    ragged = Ragged.from_rows(rows, dtype=np.int64)
    assert len(ragged) == 30
    assert as_lists(ragged) == as_lists(rows)
    assert as_lists(ragged[i] for i in range(30)) == as_lists(rows)
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert ragged.offsets.dtype == np.int64
    assert ragged.values.tolist() == [x for row in rows for x in row]


@pytest.mark.parametrize("seed", range(5))
def test_take_gives_rows_in_the_given_order_and_more_than_once(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, 20)
    ragged = Ragged.from_rows(rows, dtype=np.int64)
    chosen = rng.integers(0, 20, size=35)
    taken = ragged.take(chosen)
    assert as_lists(taken) == as_lists(rows[i] for i in chosen)
    assert ragged.values[ragged.indices(chosen)].tolist() == taken.values.tolist()
    nothing = ragged.take(np.array([], dtype=int))
    assert len(nothing) == 0 and len(nothing.values) == 0


def test_concatenate():
    rng = np.random.default_rng(0)
    first, second = random_rows(rng, 7), random_rows(rng, 4)
    both = Ragged.from_rows(first, np.int64).concatenate(Ragged.from_rows(second, np.int64))
    assert as_lists(both) == as_lists(first + second)


def test_offsets():
    assert offsets_of([3, 0, 2]).tolist() == [0, 3, 3, 5]
    assert offsets_of([]).tolist() == [0]
    assert offsets_of(np.array([1], dtype=np.int32)).dtype == np.int64


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("max_tokens", [1, 7, 30, 10_000])
def test_batches_hold_every_row_once_longest_first_and_keep_to_the_limit(seed, max_tokens):
    lengths = np.random.default_rng(seed).integers(1, 25, size=50)
    batches = batches_by_length(lengths, max_tokens)
    assert sorted(np.concatenate(batches).tolist()) == list(range(50))
    for batch in batches:
        # padded to its longest row, too, a batch keeps to the limit
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= max_tokens
    in_order = lengths[np.concatenate(batches)]
    assert (np.diff(in_order) <= 0).all()


def test_batches_are_not_smaller_than_they_need_be():
    assert len(batches_by_length(np.full(32, 10), 160)) == 2
    assert batches_by_length(np.array([], dtype=int), 10) == []
