"""The translator's computations the plain way: PyTorch's own modules, padding, a loop.

Under the name of each fast computation there is here what takes and gives the same. The losses of
a training step, α and β are those of :class:`PlainTranslator`, a model with the same weights and
the published encoder, "bilstm". Δ and the beam search are those of any translator.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attention_dynamics.kernels.plain import packed
from attention_dynamics.translation.data import BOS, EOS, Pairs, to_tensors
from attention_dynamics.translation.decoding import BEAM, MAX_TOKENS
from attention_dynamics.translation.model import (
    Output,
    Translator,
    nll,
    padded,
    token_mask,
    without_first,
    without_last,
)

Hypothesis = tuple[float, list[int], tuple[Tensor, Tensor]]  # score, tokens, the decoder's state


class PlainTranslator(Translator):
    """The translator by its formulas; a ``state_dict`` of either is one of the other.

    Queries and contexts are made of each target token's own states, and the vocabulary's logits at
    every place of the padded target.
    """

    def from_embedded(
        self,
        embedded: Tensor,
        source_lengths: Tensor,
        target: Tensor,
        target_lengths: Tensor,
        given: Tensor | None = None,
    ) -> Output:
        hidden, decoded = self.states(embedded, source_lengths, target, target_lengths)
        alpha, logits = self.attend_and_predict(hidden, source_lengths, decoded)
        source_mask = token_mask(source_lengths, embedded.device)
        mask = token_mask(target_lengths - 1, embedded.device)
        return Output(alpha[mask[:, :, None] & source_mask[:, None, :]], logits[mask])

    def losses(
        self, source: Tensor, source_lengths: Tensor, target: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """-log p of each predicted token (tokens,)."""
        embedded = self.embedding(source)
        hidden, decoded = self.states(embedded, source_lengths, target, target_lengths)
        _, logits = self.attend_and_predict(hidden, source_lengths, decoded)
        predicted = padded(without_first(target, target_lengths), target_lengths - 1)
        losses = nll(logits.flatten(0, 1), predicted.flatten())
        return losses[token_mask(target_lengths - 1, target.device).flatten()]

    def states(
        self, embedded: Tensor, source_lengths: Tensor, target: Tensor, target_lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Encoder states (batch, source length, 2 * hidden), decoder states (batch, target length,
        hidden).
        """
        hidden, state = self.encoder_states(embedded, source_lengths)
        inputs, lengths = without_last(target, target_lengths)
        decoded = self.embedding(inputs)
        for layer, (lstm, h, c) in enumerate(zip(self.decoder, *state)):
            if layer > 0:
                decoded = F.dropout(decoded, self.dropout, self.training)
            decoded, _ = packed(lstm, decoded, lengths, (h[None], c[None]))
        return padded(hidden, source_lengths), padded(decoded, lengths)

    def encoder_states(
        self, embedded: Tensor, lengths: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """States (total, 2 * hidden) of the source tokens, and the decoder's first state."""
        hidden, finals = embedded, []
        for layer, lstm in enumerate(self.encoder):
            if layer > 0:
                hidden = F.dropout(hidden, self.dropout, self.training)
            hidden, final = packed(lstm, hidden, lengths)
            finals.append([part.mean(dim=0) for part in final])  # over the directions
        h, c = (torch.stack(parts) for parts in zip(*finals))
        return hidden, (h, c)

    def attend_and_predict(
        self, hidden: Tensor, source_lengths: Tensor, decoded: Tensor
    ) -> tuple[Tensor, Tensor]:
        """α (batch, target length, source length), logits (batch, target length, vocabulary).

        ``alpha_ts = softmax_s((W_a d_t + b_a) . h_s)``, ``c_t = W_c sum(alpha_ts h_s) + b_c``.
        """
        logits = self.query(decoded) @ hidden.transpose(1, 2)
        if self.uniform:
            logits = torch.zeros_like(logits)
        mask = token_mask(source_lengths, hidden.device)
        alpha = logits.masked_fill(~mask[:, None], float("-inf")).softmax(dim=2)
        return alpha, self.predict(decoded, self.context(alpha @ hidden))

    def predict(self, decoded: Tensor, context: Tensor) -> Tensor:
        """``W_o o_t + b_o`` with ``o_t = ReLU(W_f [d_t; c_t] + b_f)``."""
        return self.output(self.combine(torch.cat([decoded, context], dim=-1)).relu())


@torch.no_grad()
def token_evidence(
    model: PlainTranslator,
    source: Tensor,
    source_lengths: Tensor,
    target: Tensor,
    target_lengths: Tensor,
) -> tuple[Output, Tensor]:
    """The model's output, and β: ``beta_ts = log p(y_t)`` with ``c_t = W_c h_s + b_c``.

    One sentence at a time, log p of the whole vocabulary for every pair of tokens.
    """
    found = []
    for x, y in zip(source.split(source_lengths.tolist()), target.split(target_lengths.tolist())):
        lengths = torch.tensor([len(x)]), torch.tensor([len(y)])
        hidden, decoded = model.states(model.embedding(x), lengths[0], y, lengths[1])
        alpha, logits = model.attend_and_predict(hidden, lengths[0], decoded)
        contexts = model.context(hidden)  # (1, source length, hidden)
        n_target, n_source = decoded.shape[1], contexts.shape[1]
        log_probs = model.predict(
            decoded[0, :, None].expand(-1, n_source, -1), contexts.expand(n_target, -1, -1)
        ).log_softmax(dim=2)
        beta = log_probs.gather(2, y[1:, None, None].expand(-1, n_source, 1))
        found.append((alpha.flatten(), logits[0], beta.flatten()))
    alpha, logits, beta = (torch.cat(parts) for parts in zip(*found))
    return Output(alpha, logits), beta


def influence_of_sentence(model: Translator, source: Tensor, target: Tensor) -> Tensor:
    """Δ (predicted tokens, source tokens) of one sentence: a backward pass for each target token.

    ``delta_tl = -d NLL_t / d m_l = -<d NLL_t / d e_l, e_l>``, where ``m_l = 1`` multiplies the
    embedding ``e_l`` of source token ``l``.
    """
    lengths = torch.tensor([len(source)]), torch.tensor([len(target)])
    embedded = model.embedding(source).detach().requires_grad_()
    given = model.given(source, lengths[0], target, lengths[1])
    # cuDNN has no backward pass for a model in eval mode
    with torch.backends.cudnn.flags(enabled=False):
        output = model.from_embedded(embedded, lengths[0], target, lengths[1], given)
        gradients = [
            torch.autograd.grad(loss, embedded, retain_graph=True)[0]
            for loss in nll(output.logits, target[1:])
        ]
    return -(torch.stack(gradients) * embedded.detach()).sum(dim=2)


def gradient_influence(model: Translator, pairs: Pairs, device: torch.device) -> np.ndarray:
    """Δ of every pair of source token and predicted token: (pairs,), sentence after sentence.

    Of any translator, in eval mode.
    """
    sentences = (to_tensors(pairs.take(np.array([row])), device) for row in range(len(pairs)))
    return np.concatenate(
        [
            influence_of_sentence(model, source, target).flatten().float().cpu().numpy()
            for source, _, target, _ in sentences
        ]
    )


@torch.no_grad()
def beam_search(
    model: Translator,
    source: Tensor,
    source_lengths: Tensor,
    beam: int = BEAM,
    max_tokens: int = MAX_TOKENS,
) -> tuple[list[list[int]], list[float]]:
    """The best translations and their scores, the sum of log p of their tokens.

    One sentence and one hypothesis at a time. Each step keeps the ``beam`` best of the hypotheses
    that have ended in </s> and of the others with one more token, until all of these have ended.
    """
    found = []
    for tokens_of_source in source.split(source_lengths.tolist()):
        lengths = torch.tensor([len(tokens_of_source)])
        encoded = model.encode(model.embedding(tokens_of_source), lengths)
        live: list[Hypothesis] = [(0.0, [BOS], encoded.state)]
        ended: list[Hypothesis] = []
        for _ in range(max_tokens):
            candidates = list(ended)
            for score, tokens, state in live:
                last = torch.tensor([tokens[-1:]], device=source.device)
                decoded, state = model.decode(last, state)
                prefix = torch.tensor([*tokens, EOS], device=source.device)
                given = model.given(tokens_of_source, lengths, prefix, torch.tensor([len(prefix)]))
                alpha = model.attend(decoded, encoded) if given is None else given[:, -1:]
                context = alpha @ encoded.values
                log_probs = model.predict(decoded, context)[0, 0].log_softmax(dim=0)
                values, choices = log_probs.topk(min(beam, len(log_probs)))
                candidates += [
                    (score + value, [*tokens, choice], state)
                    for value, choice in zip(values.tolist(), choices.tolist())
                ]
            kept = sorted(candidates, key=lambda candidate: -candidate[0])[:beam]
            ended = [candidate for candidate in kept if candidate[1][-1] == EOS]
            live = [candidate for candidate in kept if candidate[1][-1] != EOS]
            if not live:
                break
        score, tokens, _ = max(live + ended, key=lambda candidate: candidate[0])
        found.append(([token for token in tokens[1:] if token != EOS], score))
    return [tokens for tokens, _ in found], [score for _, score in found]
