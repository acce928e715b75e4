"""The translator: sentences end to end and many at once, against packed sequences and loops.

The plain way has the same weights. Tokens are random (frequent ones more often), lengths are those
of multi30k.
"""

import copy
import re
import resource
import statistics
import sys
import tempfile
from pathlib import Path

import lengths
import measure
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.files.dump import evaluate_missing, load_dump
from attention_dynamics.training.checkpoints import Evaluated
from attention_dynamics.translation.data import BOS, EOS, UNK, Pairs, to_tensors
from attention_dynamics.translation.decoding import BEAM, MAX_TOKENS, translate
from attention_dynamics.translation.evaluation import evaluate_checkpoint
from attention_dynamics.translation.influence import gradient_influence
from attention_dynamics.translation.model import Translator, build, load_config

TRANSLATION = Path(__file__).resolve().parents[1] / "translation"
CONFIG = load_config(TRANSLATION / "configs" / "model.json")
VOCAB_SIZE = 8000
N_VALIDATION = 1014  # sentences of multi30k's validation file
CPU = torch.device("cpu")


def step(quick: bool) -> measure.Result:
    """A whole step: forward, backward, Adam. Each on a batch of its own, as in training.

    The plain way packs source and target for ``nn.LSTM``, predicts at every place of the padded
    target, and has Adam as ``torch.optim.Adam(model.parameters())`` gives it.
    """
    rng = np.random.default_rng(0)
    batches = [random_pairs(CONFIG["b_size"], rng) for _ in range(11 if quick else 51)]
    torch.manual_seed(0)
    ours = build(CONFIG, VOCAB_SIZE, uniform=False)
    plain = Plain(copy.deepcopy(ours))
    ours_adam = torch.optim.Adam(ours.parameters(), fused=True)
    plain_adam = torch.optim.Adam(plain.parameters())
    batch = to_tensors(batches[0])
    with torch.no_grad():
        log_probs = plain.eval()(batches[0])[0][plain.target_mask(batches[0])]
        predicted = torch.cat([torch.from_numpy(row[1:]) for row in batches[0].target])
        difference = measure.largest_difference(
            ours.eval().losses(*batch), -log_probs.gather(1, predicted[:, None])[:, 0]
        )
    ours.train()
    plain.train()

    def ours_step(pairs: Pairs) -> None:
        loss = ours.losses(*to_tensors(pairs)).mean()
        ours_adam.zero_grad()
        loss.backward()
        ours_adam.step()

    def plain_step(pairs: Pairs) -> None:
        log_probs, _ = plain(pairs)
        predicted = pad_sequence([torch.from_numpy(row[1:]) for row in pairs.target], True)
        loss = nn.functional.nll_loss(log_probs.flatten(0, 1), predicted.flatten(), ignore_index=0)
        plain_adam.zero_grad()
        loss.backward()
        plain_adam.step()

    ours_times, plain_times = measure.alternate(ours_step, plain_step, batches)
    flop = [3 * forward_flop(pairs) for pairs in batches[1:]]
    share, notes = measure.share_of_gemm_rate(measure.flop_rate(flop, ours_times))
    return measure.Result(
        work=f"a training step, {CONFIG['b_size']} sentence pairs of multi30k lengths, "
        f"vocabulary {VOCAB_SIZE:,}",
        ours=statistics.median(ours_times),
        plain=statistics.median(plain_times),
        gemm_share=share,
        difference={"log p": difference},
        notes=notes,
    )


def beta(quick: bool) -> measure.Result:
    """Alpha and beta of one checkpoint.

    The plain way takes one sentence at a time: log p of the whole vocabulary for every pair of
    source and target token.
    """
    pairs, model = random_pairs(100 if quick else N_VALIDATION, np.random.default_rng(0)), fitted()
    reference = Plain(model).eval()
    found = {}

    def ours(pairs: Pairs) -> None:
        found["ours"] = evaluate_checkpoint(model, pairs, {}, CPU)["beta"]

    @torch.no_grad()
    def plain(pairs: Pairs) -> None:
        found["plain"] = np.concatenate([plain_beta(row) for row in rows_of(pairs)])

    def plain_beta(pair: Pairs) -> np.ndarray:
        _, (decoded, hidden) = reference(pair)
        contexts = model.context(hidden[0])  # (source, hidden)
        n_target, n_source = decoded.shape[1], len(contexts)
        log_probs = reference.log_probs(
            decoded[0][:, None].expand(-1, n_source, -1), contexts.expand(n_target, -1, -1)
        )
        predicted = torch.from_numpy(pair.target.values[1:])[:, None, None]
        return log_probs.gather(2, predicted.expand(-1, n_source, 1)).flatten().numpy()

    few = pairs.take(np.arange(20))
    inputs = [few, *[pairs] * (1 if quick else 2)]
    ours_times, plain_times = measure.alternate(ours, plain, inputs)
    n_pairs = int((pairs.source.lengths * (pairs.target.lengths - 1)).sum())
    flop = forward_flop(pairs) + n_pairs * measure.linear_flop(CONFIG["h_dim"], VOCAB_SIZE)
    share, notes = measure.share_of_gemm_rate(flop / statistics.median(ours_times))
    return measure.Result(
        work=f"beta of a checkpoint, {len(pairs):,} sentence pairs of multi30k lengths "
        f"({n_pairs:,} pairs of tokens)",
        ours=statistics.median(ours_times),
        plain=statistics.median(plain_times),
        gemm_share=share,
        difference={"beta": measure.largest_difference(found["ours"], found["plain"])},
        notes=notes,
    )


def grad(quick: bool) -> measure.Result:
    """Delta of one checkpoint, 32 sentences at once.

    The plain way takes one sentence at a time: one forward pass, and a backward pass to the
    embeddings for each target token. Useful arithmetic is a forward pass, and a gradient of inputs
    and states in the encoder for each target token.
    """
    pairs, model = random_pairs(100 if quick else N_VALIDATION, np.random.default_rng(0)), fitted()
    reference = Plain(model).eval().requires_grad_(False)
    few = pairs.take(np.arange(15 if quick else 100))
    found = {}

    def ours(pairs: Pairs) -> None:
        found["ours"] = gradient_influence(model, pairs, CPU, 32)

    def plain(pairs: Pairs) -> None:
        rows = []
        for pair in rows_of(pairs):
            embedded = model.embedding(torch.from_numpy(pair.source.values)).requires_grad_()
            log_probs, _ = reference(pair, embedded[None])
            for t, token in enumerate(pair.target.values[1:]):
                (gradient,) = torch.autograd.grad(
                    log_probs[0, t, token], embedded, retain_graph=True
                )
                rows.append((gradient * embedded.detach()).sum(dim=1))
        found["plain"] = torch.cat(rows).numpy()

    ours(few)
    plain_time = measure.seconds(plain, few) / len(few)
    difference = measure.largest_difference(found["ours"], found["plain"])
    # many for us, as in a validation file, to batch; the plain way takes one at a time anyway
    ours_time = measure.seconds(ours, pairs) / len(pairs)
    states = CONFIG["h_dim"]
    layers = measure.lstm_flop(states, states) + measure.lstm_flop(2 * states, states)
    n_pairs = int((pairs.source.lengths * (pairs.target.lengths - 1)).sum())
    share, notes = measure.share_of_gemm_rate(n_pairs * layers / (ours_time * len(pairs)))
    return measure.Result(
        work=f"Delta of a sentence pair of multi30k lengths, a mean over {len(pairs):,} (plain: "
        f"{len(few)})",
        ours=ours_time,
        plain=plain_time,
        gemm_share=share,
        difference={"Delta": difference},
        notes=notes,
    )


def beam(quick: bool) -> measure.Result:
    """Translations of validation sentences by a beam search.

    The plain way takes one sentence at a time, and stops when all of its hypotheses have ended.
    """
    pairs, model = random_pairs(60 if quick else 300, np.random.default_rng(0)), fitted()
    found = {}

    def ours(pairs: Pairs) -> None:
        found["ours"] = translate(model, pairs, CPU)

    @torch.no_grad()
    def plain(pairs: Pairs) -> None:
        found["plain"] = [plain_beam_search(model, row) for row in pairs.source]

    few = pairs.take(np.arange(5))
    ours_times, plain_times = measure.alternate(ours, plain, [few, pairs])
    same = np.mean([a == b for a, b in zip(found["ours"], found["plain"])])
    n_tokens = sum(map(len, found["ours"]))
    return measure.Result(
        work=f"translating {len(pairs):,} sentences of multi30k lengths, beam {BEAM} "
        f"({n_tokens / len(pairs):.1f} tokens on average)",
        ours=ours_times[0],
        plain=plain_times[0],
        difference={"share of sentences translated otherwise": 1 - same},
    )


def dump_memory(quick: bool) -> measure.Result:
    """Peak memory of writing and of reading a dump, projected to the published iwslt14 list.

    Its columns are 20 checkpoints of 2 x 1,014 sentence pairs; those of iwslt14 (23 iterations of
    three runs, Delta of one, 2 x 7,283 pairs of about 26 tokens a side) are larger, and so is the
    projected peak: what a process needs besides, and the columns in proportion.
    """
    n_sentences = N_VALIDATION // 4 if quick else N_VALIDATION
    n_entries = 2 * n_sentences * 300
    entries = [Evaluated("Normal_A", step, 20, False, True) for step in range(20)]
    rng = np.random.default_rng(0)

    def columns(entry: Evaluated, _) -> dict:
        values = rng.random((3, n_entries), dtype=np.float32)
        return dict(zip(("alpha", "beta", "grad"), values)) | {"metas": {"val_acc": 1.0}}

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "toy_logs.pkl"
        files = [Path(folder) / entry.name for entry in entries]
        files[0].write_bytes(b"")
        header = {"dataset": "toy", "vocab": [], "sentences": {"source": np.zeros(n_entries)}}
        before = peak_rss()
        seconds = measure.seconds(evaluate_missing, path, header, entries, files, columns)
        reading = measure.seconds(load_dump, Path(folder), "toy")
    column_bytes = 4 * n_entries * 3 * len(entries)
    published = 4 * 2 * 7283 * 26 * 26 * (3 * 23 * 2 + 23)
    factor = (peak_rss() - before) / column_bytes
    projected = before + factor * published
    return measure.Result(
        work=f"writing a dump of {len(entries)} checkpoints, {n_entries:,} entries a column",
        ours=projected / 2**30,
        plain=8.0,
        notes=(
            f"written in {seconds:.1f} s, read in {reading:.1f} s; peak {factor:.2f} times the "
            f"columns' {column_bytes / 2**20:,.0f} MB",
            "below: the projected peak for iwslt14, and the limit",
        ),
        unit="GiB",
    )


def random_pairs(count: int, rng: np.random.Generator) -> Pairs:
    """Sentence pairs of multi30k lengths, their tokens drawn with probability about 1 / rank."""
    sides = []
    for n_tokens in lengths.draw_pairs(count, rng):
        offsets = offsets_of(n_tokens)
        rank = (VOCAB_SIZE - UNK - 1) ** rng.random(offsets[-1])
        tokens = UNK + rank.astype(np.int64)
        tokens[offsets[:-1]], tokens[offsets[1:] - 1] = BOS, EOS
        sides.append(Ragged(tokens, offsets))
    return Pairs(*sides, [""] * count)


def rows_of(pairs: Pairs):
    return (pairs.take(np.array([row])) for row in range(len(pairs)))


def fitted() -> Translator:
    """A translator fitted for a moment to random pairs, so that its hypotheses end some time."""
    rng = np.random.default_rng(1)
    torch.manual_seed(0)
    model = build(CONFIG, VOCAB_SIZE, uniform=False)
    adam = torch.optim.Adam(model.parameters(), lr=0.003, fused=True)
    for _ in range(30):
        loss = model.losses(*to_tensors(random_pairs(16, rng))).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return model.eval().requires_grad_(False)


def forward_flop(pairs: Pairs) -> float:
    """Flop of a forward pass: those of real tokens, and of the products for attention."""
    h = CONFIG["h_dim"]
    source = (
        measure.lstm_flop(h, h) + measure.lstm_flop(2 * h, h) + 2 * measure.linear_flop(2 * h, h)
    )
    target = 2 * measure.lstm_flop(h, h, directions=1)
    target += measure.linear_flop(2 * h, h) + measure.linear_flop(h, VOCAB_SIZE)
    n_target = pairs.target.lengths - 1
    attention = 2 * measure.linear_flop(h, 1) * (pairs.source.lengths * n_target).sum()
    return float(source * pairs.source.lengths.sum() + target * n_target.sum() + attention)


def peak_rss() -> int:
    """Bytes. Linux counts the parent's memory into ``ru_maxrss`` of a child, not into VmHWM."""
    status = Path("/proc/self/status")
    if status.exists():
        peak = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
        if peak:
            return 1024 * int(peak[1])
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# The plain way.


class Plain(nn.Module):
    """The same model with ``nn.LSTM`` over packed sequences."""

    def __init__(self, model: Translator):
        super().__init__()
        self.model = model
        n_layers, h_dim = len(model.encoder), CONFIG["h_dim"]
        self.encoder = nn.LSTM(
            h_dim, h_dim, n_layers, dropout=CONFIG["dropout"], bidirectional=True, batch_first=True
        )
        for layer, lstm in enumerate(model.encoder):
            for name, weight in lstm.named_parameters():
                getattr(self.encoder, name.replace("l0", f"l{layer}")).data = weight.data.clone()

    def target_mask(self, pairs: Pairs) -> Tensor:
        n_target = torch.from_numpy(pairs.target.lengths - 1)
        return torch.arange(int(n_target.max())) < n_target[:, None]

    def forward(
        self, pairs: Pairs, embedded: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """log p (batch, target length, vocabulary); decoder states, encoder states, padded."""
        model = self.model
        source_lengths = torch.from_numpy(pairs.source.lengths)
        target_lengths = torch.from_numpy(pairs.target.lengths) - 1
        if embedded is None:
            source = pad_sequence([torch.from_numpy(row) for row in pairs.source], True)
            embedded = model.embedding(source)
        packed = pack_padded_sequence(embedded, source_lengths, True, enforce_sorted=False)
        packed, finals = self.encoder(packed)
        hidden, _ = pad_packed_sequence(packed, batch_first=True)
        state = tuple(
            final.unflatten(0, (-1, 2)).mean(dim=1) for final in finals
        )  # over the directions
        inputs = pad_sequence([torch.from_numpy(row[:-1]) for row in pairs.target], True)
        packed = pack_padded_sequence(
            model.embedding(inputs), target_lengths, True, enforce_sorted=False
        )
        packed, _ = model.decoder(packed, state)
        decoded, _ = pad_packed_sequence(packed, batch_first=True)
        mask = torch.arange(hidden.shape[1]) < source_lengths[:, None]
        logits = model.query(decoded) @ hidden.transpose(1, 2)
        alpha = logits.masked_fill(~mask[:, None], float("-inf")).softmax(dim=2)
        context = model.context(alpha @ hidden)
        return self.log_probs(decoded, context), (decoded, hidden)

    def log_probs(self, decoded: Tensor, context: Tensor) -> Tensor:
        """log p (..., vocabulary) of decoder states and contexts, by ``nn.Linear``."""
        combined = self.model.combine(torch.cat([decoded, context], dim=-1)).relu()
        return self.model.output(combined).log_softmax(dim=-1)


def plain_beam_search(model: Translator, source: np.ndarray) -> list[int]:
    """One sentence: a step extends its hypotheses, until all have ended."""
    lengths_ = torch.tensor([len(source)])
    encoded = model.encode(model.embedding(torch.from_numpy(source)), lengths_)
    live, ended = [([BOS], 0.0, encoded.state)], []
    for _ in range(MAX_TOKENS):
        candidates = [(score, tokens, None) for tokens, score, _ in ended]
        for tokens, score, state in live:
            decoded, state = model.decode(torch.tensor([tokens[-1:]]), state)
            context = model.attend(decoded, encoded) @ encoded.values
            log_probs = model.predict(decoded, context)[0, 0].log_softmax(dim=0)
            values, choices = log_probs.topk(BEAM)
            candidates += [
                (score + value, [*tokens, choice], state)
                for value, choice in zip(values.tolist(), choices.tolist())
            ]
        kept = sorted(candidates, key=lambda candidate: -candidate[0])[:BEAM]
        ended = [(tokens, score, None) for score, tokens, _ in kept if tokens[-1] == EOS]
        live = [(tokens, score, state) for score, tokens, state in kept if tokens[-1] != EOS]
        if not live:
            break
    tokens, _, _ = max(live + ended, key=lambda hypothesis: hypothesis[1])
    return [token for token in tokens[1:] if token != EOS]
