"""Beam search: against all hypotheses of a tiny vocabulary, greedy, and the plain way."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.translation import data, decoding, evaluation, model, plain

EOS, BOS = data.EOS, data.BOS
CPU = torch.device("cpu")


def make(vocab, seed=0, uniform=False, scale=4.0):
    torch.manual_seed(seed)
    translator = model.Translator(vocab, 16, 2, 0.5, uniform).double().eval().requires_grad_(False)
    for weight in translator.parameters():
        weight *= scale  # so that probabilities differ
    return translator


def random_sources(vocab, count, seed=0):
    rng = np.random.default_rng(seed)
    rows = [[BOS, *rng.integers(0, vocab, rng.integers(0, 6)), EOS] for _ in range(count)]
    return Ragged.from_rows(rows, np.int64)


WAYS = {"fast": decoding.beam_search, "plain": plain.beam_search}


def search(translator, sources, way="fast", **options):
    tokens = torch.from_numpy(sources.values)
    return WAYS[way](translator, tokens, torch.from_numpy(sources.lengths), **options)


def log_probs_of(translator, source, hypotheses):
    """log p of each next token, of hypotheses (count, length) of one source, from <s> on."""
    hypotheses = torch.as_tensor(hypotheses)
    source = torch.from_numpy(source)
    count = len(hypotheses)
    # the last token is only there to be dropped: the decoder reads all but it
    targets = torch.cat([hypotheses, hypotheses[:, :1]], dim=1)
    output = translator(
        source.repeat(count),
        torch.full((count,), len(source)),
        targets.flatten(),
        torch.full((count,), targets.shape[1]),
    )
    return output.logits.log_softmax(dim=1).view(count, hypotheses.shape[1], -1)


def scores_of(translator, source, hypotheses):
    """Sums of log-probabilities of hypotheses of one length, without <s>."""
    hypotheses = torch.as_tensor(hypotheses)
    inputs = torch.cat([torch.full((len(hypotheses), 1), BOS), hypotheses[:, :-1]], dim=1)
    log_probs = log_probs_of(translator, source, inputs)
    return log_probs.gather(2, hypotheses[:, :, None]).sum(dim=(1, 2)).tolist()


def exhaustive(translator, source, vocab, max_tokens):
    """The best of all hypotheses that end in </s>, or are cut off at ``max_tokens``."""
    others = [token for token in range(vocab) if token != EOS]
    groups = [
        [[*start, EOS] for start in itertools.product(others, repeat=n)] for n in range(max_tokens)
    ]
    groups.append(list(map(list, itertools.product(others, repeat=max_tokens))))
    scored = [
        (score, tokens)
        for group in groups
        for score, tokens in zip(scores_of(translator, source, group), group)
    ]
    score, best = max(scored)
    return [token for token in best if token != EOS], score


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_beam_as_wide_as_the_space_finds_the_best_of_all(way, seed, uniform):
    vocab, max_tokens = 4, 4 if way == "fast" else 3
    translator, sources = make(vocab, seed, uniform), random_sources(vocab, 5, seed)
    beam = vocab**max_tokens
    found, scores = search(translator, sources, way, beam=beam, max_tokens=max_tokens)
    for source, tokens, value in zip(sources, found, scores):
        expected, expected_score = exhaustive(translator, source, vocab, max_tokens)
        assert tokens == expected
        assert value == pytest.approx(expected_score, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.slow
def test_beam_1_is_greedy(way, seed):
    vocab, max_tokens = 9, 12
    translator, sources = make(vocab, seed), random_sources(vocab, 8, seed)
    found, _ = search(translator, sources, way, beam=1, max_tokens=max_tokens)
    for source, tokens in zip(sources, found):
        greedy = [BOS]
        while len(greedy) <= max_tokens and greedy[-1] != EOS:
            greedy.append(log_probs_of(translator, source, [greedy])[0, -1].argmax().item())
        assert tokens == [token for token in greedy[1:] if token != EOS]


def by_whole_hypotheses(translator, source, beam, max_tokens):
    """One sentence, until all of its hypotheses have ended."""
    live, ended = [([], 0.0)], []
    for _ in range(max_tokens):
        candidates = list(ended)
        starts = [[BOS, *tokens] for tokens, _ in live]
        for (tokens, value), log_probs in zip(live, log_probs_of(translator, source, starts)):
            candidates += [
                ([*tokens, token], value + log_prob)
                for token, log_prob in enumerate(log_probs[-1].tolist())
            ]
        kept = sorted(candidates, key=lambda candidate: -candidate[1])[:beam]
        ended = [candidate for candidate in kept if candidate[0][-1] == EOS]
        live = [candidate for candidate in kept if candidate[0][-1] != EOS]
        if not live:
            break
    tokens, value = max(live + ended, key=lambda candidate: candidate[1])
    return [token for token in tokens if token != EOS], value


@pytest.mark.parametrize("beam", [2, 3, 5, 20])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.slow
def test_against_the_plain_way_and_whole_hypotheses(beam, seed):
    """Also that a sentence may stop when its best hypothesis, not each of them, has ended."""
    vocab, max_tokens = 7, 8
    translator, sources = make(vocab, seed, scale=3.0), random_sources(vocab, 6, seed)
    found, scores = search(translator, sources, beam=beam, max_tokens=max_tokens)
    again, again_scores = search(translator, sources, "plain", beam=beam, max_tokens=max_tokens)
    assert found == again
    assert scores == pytest.approx(again_scores, abs=1e-12)
    for source, tokens, value in zip(sources, found, scores):
        expected, expected_score = by_whole_hypotheses(translator, source, beam, max_tokens)
        assert tokens == expected
        assert value == pytest.approx(expected_score, abs=1e-9)
    assert max(map(len, found)) <= max_tokens


class Scripted:
    """Stands for a model whose next-token probabilities depend on the last token alone."""

    other = None

    def given(self, *_):
        return None

    def __init__(self, table):
        self.table = torch.tensor(table, dtype=torch.float64).log()
        self.steps = 0

    def embedding(self, tokens):
        return tokens

    def encode(self, _, lengths):
        n = len(lengths)
        keys = torch.zeros(n, 1, 1, dtype=torch.float64)
        state = (torch.zeros(1, n, 1), torch.zeros(1, n, 1))
        mask = torch.ones(n, 1, dtype=torch.bool)
        return model.Encoded(keys, keys[:, :, 0], keys, mask, state)

    def decode(self, inputs, state):
        self.steps += 1
        return inputs[:, :, None].double(), state

    def attend(self, decoded, encoded):
        return torch.zeros(*decoded.shape[:2], encoded.keys.shape[1], dtype=torch.float64)

    def predict(self, decoded, _):
        return self.table[decoded[..., 0].long()]


@pytest.mark.parametrize("way", WAYS)
def test_where_all_are_equally_probable_the_shortest_wins(way):
    """</s> at once: each token costs the same, and the beam has room for all."""
    source = Ragged.from_rows([[BOS, EOS]] * 3, np.int64)
    found, scores = search(Scripted(np.full((5, 5), 0.2).tolist()), source, way, beam=5)
    assert found == [[]] * 3
    assert np.exp(scores) == pytest.approx([0.2] * 3)


@pytest.mark.parametrize("way", WAYS)
def test_what_has_ended_keeps_its_score_and_its_place(way):
    """</s> at once has 0.4. The greedy start, 0.6, leads to nothing better: 0.6 * 0.5."""
    end, a, b = EOS, 3, 4
    table = np.full((5, 5), 1e-9)
    table[BOS, [end, a]] = 0.4, 0.6
    table[a, [a, b]] = 0.5, 0.5
    table[b, [end, b]] = 0.9, 0.1
    source = Ragged.from_rows([[BOS, EOS]], np.int64)
    scripted = Scripted(table.tolist())
    found, scores = search(scripted, source, way, beam=2)
    assert found == [[]] and np.exp(scores) == pytest.approx([0.4])
    assert way == "plain" or scripted.steps == 2  # nothing can overtake it then
    found, scores = search(Scripted(table.tolist()), source, way, beam=1)
    assert found[0][0] == a  # greedy cannot turn back
    # a long hypothesis that stays the more probable one wins over a short one that has ended
    table[a, [a, b]] = 0.01, 0.99
    found, scores = search(Scripted(table.tolist()), source, way, beam=2)
    assert found == [[a, b]] and np.exp(scores) == pytest.approx([0.6 * 0.99 * 0.9])


def test_cut_off_at_the_limit():
    table = np.full((5, 5), 1e-9)
    table[:, 4] = 1.0  # it never ends
    source = Ragged.from_rows([[BOS, EOS]] * 3, np.int64)
    scripted = Scripted(table.tolist())
    found, _ = search(scripted, source, beam=3)
    assert found == [[4] * decoding.MAX_TOKENS] * 3
    assert scripted.steps == decoding.MAX_TOKENS == 100


def test_the_batch_does_not_matter(monkeypatch):
    vocab = 30
    translator, sources = make(vocab, scale=3.0), random_sources(vocab, 12)
    pairs = data.Pairs(sources, sources, ["text"] * 12)
    together, again = (decoding.translate(translator, pairs, CPU) for _ in range(2))
    assert together == again
    alone = [search(translator, Ragged.from_rows([s], np.int64))[0][0] for s in sources]
    assert together == alone
    for at_once in (1, 37):
        monkeypatch.setattr(decoding, "HYPOTHESES_AT_ONCE", at_once)
        assert decoding.translate(translator, pairs, CPU) == together


def test_bleu_is_sacrebleu_of_the_texts(monkeypatch):
    import sacrebleu

    texts = ["a man sleeps in a green room .", "two dogs run over the grass .", "one"]
    pairs = data.Pairs(None, None, ["A man sleeps in a green room .", "two dogs run .", "two"])
    monkeypatch.setattr(decoding, "translate", lambda *_: [[0], [1], [2]])
    dataset = SimpleNamespace(pieces=SimpleNamespace(decode=lambda tokens: texts[tokens[0]]))
    expected = sacrebleu.corpus_bleu(texts, [pairs.references]).score
    assert decoding.bleu(None, dataset, pairs, CPU) == expected
    assert 0 < expected < 100


def test_perplexity_of_a_training_that_fails():
    assert evaluation.perplexity(1.5) == math.exp(1.5)
    assert evaluation.perplexity(4e6) == math.inf and math.isnan(evaluation.perplexity(math.nan))
