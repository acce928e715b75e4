"""The translator: sentences end to end and many at once, against packed sequences and loops.

The plain way, ``translation/plain.py``, has the same weights. Tokens are random (frequent ones
more often), lengths are those of multi30k.
"""

import re
import resource
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

import lengths
import measure
import numpy as np
import torch
from torch import Tensor

from attention_dynamics.analysis.dump import evaluate_missing, load_dump
from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.training.checkpoints import CheckpointSpec
from attention_dynamics.translation import plain
from attention_dynamics.translation.data import BOS, EOS, UNK, Pairs, to_tensors
from attention_dynamics.translation.decoding import BEAM, translate
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
    theirs = plain_model(ours)
    batch = to_tensors(batches[0])
    with torch.no_grad():
        difference = measure.largest_difference(
            ours.eval().losses(*batch), theirs.eval().losses(*batch)
        )

    def loss(model: Translator, pairs: Pairs) -> Tensor:
        return model.losses(*to_tensors(pairs)).mean()

    ours_times, plain_times = measure.alternate(
        measure.update(
            partial(loss, ours.train()), torch.optim.Adam(ours.parameters(), fused=True)
        ),
        measure.update(partial(loss, theirs.train()), torch.optim.Adam(theirs.parameters())),
        batches,
    )
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
    theirs = plain_model(model).eval()
    found = {}

    def ours(pairs: Pairs) -> None:
        found["ours"] = evaluate_checkpoint(model, pairs, {}, False, CPU)["beta"]

    def plain_way(pairs: Pairs) -> None:
        sentences = (to_tensors(pairs.take(np.array([row]))) for row in range(len(pairs)))
        evidence = [plain.token_evidence(theirs, *sentence)[1] for sentence in sentences]
        found["plain"] = torch.cat(evidence).numpy()

    few = pairs.take(np.arange(20))
    inputs = [few, *[pairs] * (1 if quick else 2)]
    ours_times, plain_times = measure.alternate(ours, plain_way, inputs)
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
    theirs = plain_model(model).eval().requires_grad_(False)
    few = pairs.take(np.arange(15 if quick else 100))
    found = {}

    def ours(pairs: Pairs) -> None:
        found["ours"] = gradient_influence(model, pairs, CPU, 32)

    def plain_way(pairs: Pairs) -> None:
        found["plain"] = plain.gradient_influence(theirs, pairs, CPU)

    ours(few)
    plain_time = measure.seconds(plain_way, few) / len(few)
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

    def plain_way(pairs: Pairs) -> None:
        found["plain"], _ = plain.beam_search(model, *to_tensors(pairs)[:2])

    few = pairs.take(np.arange(5))
    ours_times, plain_times = measure.alternate(ours, plain_way, [few, pairs])
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
    entries = [CheckpointSpec("Normal_A", step, 20, False, True) for step in range(20)]
    versions = {"alpha": 1, "beta": 1, "grad": 1}
    rng = np.random.default_rng(0)

    def columns(entry: CheckpointSpec, _) -> dict:
        values = rng.random((3, n_entries), dtype=np.float32)
        return dict(zip(versions, values)) | {"metas": {"val_acc": 1.0}}

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "toy_logs.pkl"
        files = [Path(folder) / entry.name for entry in entries]
        files[0].write_bytes(b"")
        header = {"dataset": "toy", "settings": {"columns": versions}, "vocab": ["a"]}
        header["sentences"] = {
            "source": np.zeros(n_entries, np.int32),
            "target": np.zeros(1, np.int32),
        }
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


def plain_model(model: Translator) -> plain.PlainTranslator:
    """A plain model with weights like those of ``model``."""
    sizes = (CONFIG[name] for name in ("h_dim", "n_layers", "dropout"))
    theirs = plain.PlainTranslator(VOCAB_SIZE, *sizes, uniform=False)
    theirs.load_state_dict(model.state_dict())
    return theirs


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
