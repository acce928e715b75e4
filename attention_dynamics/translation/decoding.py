"""Beam search, and the BLEU of what it finds."""

import numpy as np
import torch
from torch import Tensor

from attention_dynamics.analysis.ragged import batches_by_length
from attention_dynamics.translation.data import BOS, EOS, PAD, Dataset, Pairs
from attention_dynamics.translation.model import Encoded, Translator

BEAM = 5
MAX_TOKENS = 100
# Hypotheses that are extended together: their logits, 8,000 each, stay within 64 MB.
HYPOTHESES_AT_ONCE = 2000


@torch.no_grad()
def beam_search(
    model: Translator,
    source: Tensor,
    source_lengths: Tensor,
    beam: int = BEAM,
    max_tokens: int = MAX_TOKENS,
) -> tuple[list[list[int]], list[float]]:
    """The most probable translations that a beam search finds.

    A hypothesis' score is the sum of its tokens' log-probabilities. Among the ``beam`` best of a
    sentence, one that has ended in </s> keeps its place with the score it has, and the others are
    extended by every token; the best of all these stay. As no extension raises a score, a
    sentence is done when its best hypothesis has ended. The plain way is
    :func:`plain.beam_search`.

    Parameters
    ----------
    source, source_lengths : tokens of all sentences (total,), lengths (batch,) on the CPU
    max_tokens : where a hypothesis is cut off, </s> counted

    Returns
    -------
    tokens of the best hypothesis of each sentence, after <s>, without </s>; and its score
    """
    device = source.device
    n = len(source_lengths)
    # the model, and the one that it attends as
    readers = [model] if model.other is None else [model, model.other[0]]
    encoded = [reader.encode(reader.embedding(source), source_lengths) for reader in readers]
    states = []
    for of in encoded:
        h, c = (part.repeat_interleave(beam, dim=1) for part in of.state)
        states.append((h, c))

    sentences = torch.arange(n)  # which are under way
    tokens = torch.full((n, beam, 0), PAD, device=device)
    last = torch.full((n, beam), BOS, device=device)
    ended = torch.zeros(n, beam, dtype=torch.bool, device=device)
    # all but one of the first hypotheses are the same: they stay out
    scores = torch.full((n, beam), float("-inf"), device=device)
    scores[:, 0] = 0
    best_tokens: list[list[int]] = [[] for _ in range(n)]
    best_scores = [0.0] * n

    for step in range(max_tokens):
        decoded = []
        for i, (reader, (h, c)) in enumerate(zip(readers, states)):
            output, states[i] = reader.decode(last.view(-1, 1), (h, c))
            decoded.append(output.view(len(sentences), beam, -1))
        attend = model.attend if model.other is None else model.attend_as_other
        context = attend(decoded[-1], encoded[-1]) @ encoded[0].values
        log_probs = model.predict(decoded[0], context).log_softmax(dim=2)  # (n, beam, vocabulary)
        vocab_size = log_probs.shape[2]
        # one that has ended has one continuation, itself (as PAD), which costs nothing
        log_probs.masked_fill_(ended[:, :, None], float("-inf"))
        log_probs[:, :, PAD] = torch.where(ended, 0, log_probs[:, :, PAD])
        # the best of a sentence are among the best of each of its hypotheses
        extended, choice = (scores[:, :, None] + log_probs).topk(min(beam, vocab_size), dim=2)
        scores, place = extended.flatten(1).topk(beam, dim=1)
        parent = place // extended.shape[2]
        last = choice.flatten(1).gather(1, place)
        tokens = torch.cat(
            [tokens.gather(1, parent[:, :, None].expand_as(tokens)), last[:, :, None]], dim=2
        )
        ended = ended.gather(1, parent) | (last == EOS)

        done = ended[:, 0].cpu() | (step == max_tokens - 1)  # cut off at the last step
        keep = (~done).nonzero().squeeze(1)
        for i in done.nonzero().squeeze(1).tolist():
            found = tokens[i, 0].tolist()
            best_tokens[sentences[i]] = found[: found.index(EOS)] if EOS in found else found
            best_scores[sentences[i]] = scores[i, 0].item()
        if len(keep) == 0:
            break
        rows = keep.to(device)
        parents = (rows[:, None] * beam + parent[rows]).flatten()
        states = [(h.index_select(1, parents), c.index_select(1, parents)) for h, c in states]
        if len(keep) < len(sentences):
            sentences = sentences[keep]
            tokens, last, ended, scores = (x[rows] for x in (tokens, last, ended, scores))
            encoded = [kept_rows(of, rows) for of in encoded]
    return best_tokens, best_scores


def kept_rows(encoded: Encoded, rows: Tensor) -> Encoded:
    """Some of the sentences; the decoder's first state, which is not needed any more, stays."""
    keys, key_biases, values, mask, state = encoded
    return Encoded(keys[rows], key_biases[rows], values[rows], mask[rows], state)


def translate(model: Translator, pairs: Pairs, device: torch.device) -> list[list[int]]:
    """Translations of all sentences, found in batches of like length."""
    translations: list[list[int]] = [[] for _ in range(len(pairs))]
    lengths = pairs.source.lengths
    at_once = max(1, HYPOTHESES_AT_ONCE // BEAM)
    order = np.concatenate(batches_by_length(lengths, 1))
    for start in range(0, len(order), at_once):
        rows = order[start : start + at_once]
        source = pairs.source.take(rows)
        tokens = torch.from_numpy(source.values).to(device)
        found, _ = beam_search(model, tokens, torch.from_numpy(source.lengths), BEAM)
        for row, translation in zip(rows, found):
            translations[row] = translation
    return translations


def bleu(model: Translator, dataset: Dataset, pairs: Pairs, device: torch.device) -> float:
    """BLEU (sacrebleu, in percent) of the translations, as text, against the references."""
    import sacrebleu

    texts = [dataset.pieces.decode(tokens) for tokens in translate(model, pairs, device)]
    return sacrebleu.corpus_bleu(texts, [pairs.references]).score
