"""The classifier: sentences end to end and sorted into segments, against packed sequences.

The plain way, ``classification/plain.py``, has the same weights, and pads a batch, packs it for
``nn.LSTM``, and pads the result again for the attention. Tokens are random (frequent words more
often); lengths are real ones.
"""

import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lengths
import measure
import numpy as np
import torch
from torch import Tensor

from attention_dynamics.analysis.ragged import Ragged, offsets_of
from attention_dynamics.classification import plain
from attention_dynamics.classification.data import BOS, EOS, SPECIALS, Sentences, to_tensors
from attention_dynamics.classification.evaluation import evaluate_checkpoint
from attention_dynamics.classification.model import Classifier, build, load_config, nll
from attention_dynamics.kernels.lstm import bilstm
from attention_dynamics.kernels.plain import packed
from attention_dynamics.training import runs

CLASSIFICATION = Path(__file__).resolve().parents[1] / "classification"
CONFIG = load_config(CLASSIFICATION / "configs" / "model.json")
CPU = torch.device("cpu")


def bilstm_long(quick: bool) -> measure.Result:
    """Forward and backward of the LSTM alone, over reviews of which one is as long as allowed.

    The packed way allocates a gradient of the whole batch at each step of time. Whether the C
    library keeps that memory, or gives it back to the system and gets it anew, differs from run
    to run, and with it the time, up to a factor of four; our way allocates little and is steady.
    """
    longest = 1000 if quick else 2000
    rng = np.random.default_rng(0)
    drawn = lengths.draw("IMDB", CONFIG["b_size"], rng, longest)
    drawn[0] = longest  # few batches have one; those are the ones that cost most
    embed_dim, h_dim = CONFIG["embed_dim"], CONFIG["h_dim"]
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(embed_dim, h_dim, bidirectional=True)
    row_lengths = torch.from_numpy(drawn)
    inputs = torch.randn(int(drawn.sum()), embed_dim, requires_grad=True)
    gradient = torch.randn(len(inputs), 2 * h_dim)

    results = {}

    def forward_and_backward(way) -> None:
        parameters = [inputs, *lstm.parameters()]
        output, _ = way(lstm, inputs, row_lengths)
        gradients = torch.autograd.grad(output, parameters, gradient)
        results[way] = [output.detach(), *gradients]

    forward_and_backward(bilstm)  # to warm up; the plain way takes too long for that
    ours_time = statistics.median(
        measure.seconds(forward_and_backward, bilstm) for _ in range(5 if quick else 9)
    )
    plain_time = measure.seconds(forward_and_backward, packed)
    differences = [
        measure.largest_difference(a, b) for a, b in zip(results[bilstm], results[packed])
    ]
    flop = 3 * len(inputs) * measure.lstm_flop(embed_dim, h_dim)
    rate, notes = measure.share_of_gemm_rate(flop / ours_time)
    return measure.Result(
        work=f"BiLSTM forward and backward, {len(drawn)} reviews of up to {longest:,} tokens "
        f"({len(inputs):,} together)",
        ours=ours_time,
        plain=plain_time,
        gemm_share=rate,
        difference={
            "output": differences[0],
            "gradient of inputs": differences[1],
            "gradient of weights": max(differences[2:]),
        },
        notes=notes,
    )


def step(quick: bool) -> measure.Result:
    return training_steps("IMDB", repeats=5 if quick else 20)


def step_short(quick: bool) -> measure.Result:
    return training_steps("SNS", repeats=30 if quick else 100)


def training_steps(dataset: str, repeats: int) -> measure.Result:
    """A whole step: forward, backward, Adam. Each on a batch of its own, as in training.

    The plain way has Adam as ``torch.optim.Adam(model.parameters())`` gives it.
    """
    rng = np.random.default_rng(0)
    batches = [random_sentences(dataset, CONFIG["b_size"], rng) for _ in range(repeats + 1)]
    torch.manual_seed(0)
    ours = build(CONFIG, lengths.VOCAB_SIZE[dataset], uniform=False)
    theirs = copy.deepcopy(ours)
    difference = differences(ours, theirs, batches[0])

    def ours_loss(batch: Sentences) -> Tensor:
        tokens, row_lengths, labels = to_tensors(batch)
        return nll(ours(tokens, row_lengths).score, labels).mean()

    def plain_loss(batch: Sentences) -> Tensor:
        tokens, row_lengths, labels = to_tensors(batch)
        return nll(plain.classify(theirs, tokens, row_lengths).score, labels).mean()

    ours_times, plain_times = measure.alternate(
        measure.update(ours_loss, torch.optim.Adam(ours.parameters(), fused=True)),
        measure.update(plain_loss, torch.optim.Adam(theirs.parameters())),
        batches,
    )
    flop = [3 * batch.tokens.offsets[-1] * forward_flop() for batch in batches[1:]]
    share, notes = measure.share_of_gemm_rate(measure.flop_rate(flop, ours_times))
    tokens = statistics.mean(batch.tokens.offsets[-1] for batch in batches)
    return measure.Result(
        work=f"a training step, {CONFIG['b_size']} sentences of {dataset} lengths ({tokens:,.0f} "
        f"tokens on average), vocabulary {lengths.VOCAB_SIZE[dataset]:,}",
        ours=statistics.median(ours_times),
        plain=statistics.median(plain_times),
        gemm_share=share,
        difference=difference,
        notes=notes,
    )


def dump(quick: bool) -> measure.Result:
    """Alpha, beta and Delta of one checkpoint.

    The plain way takes the sentences in the order of the file, a training batch's number at a
    time, and back-propagates to a multiplier of each embedding. Useful arithmetic is the forward
    pass, and the gradient of inputs and states: that of the weights is not needed.
    """
    rng = np.random.default_rng(0)
    repeats = 1 if quick else 3
    sentences = random_sentences("IMDB", 192 if quick else 512, rng)
    torch.manual_seed(0)
    model = build(CONFIG, lengths.VOCAB_SIZE["IMDB"], uniform=False).requires_grad_(False)
    found = {}

    def ours(data: Sentences) -> None:
        found["ours"] = evaluate_checkpoint(model, data, {}, True, CPU)

    def plain_way(data: Sentences) -> None:
        found["plain"] = plain_columns(model, data)

    inputs = [sentences.first(32), *[sentences] * repeats]
    ours_times, plain_times = measure.alternate(ours, plain_way, inputs)
    flop = 2 * sentences.tokens.offsets[-1] * forward_flop()
    share, notes = measure.share_of_gemm_rate(flop / statistics.median(ours_times))
    return measure.Result(
        work=f"alpha, beta and Delta of a checkpoint, {len(sentences):,} sentences of IMDB lengths "
        f"({sentences.tokens.offsets[-1]:,} tokens)",
        ours=statistics.median(ours_times),
        plain=statistics.median(plain_times),
        gemm_share=share,
        difference={
            name: measure.largest_difference(found["ours"][name], found["plain"][name])
            for name in ("alpha", "beta", "grad")
        },
        notes=notes,
    )


def jobs(quick: bool) -> measure.Result:
    """Two short runs of ``train_classifier.py`` side by side, one thread each (as ``JOBS=2`` has
    it), against one after the other with all threads.

    Time is that of the whole runs, from the start of Python to the end. Start-up takes one core
    however many there are; the longer the runs, the less it counts. So the ratio of the time from
    the first step to the last, ``model0`` to the last checkpoint, is printed too.
    """
    steps = 100
    rng = np.random.default_rng(0)
    whole, stepping = {"plain": [], "ours": []}, {"plain": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), random_sentences("SNS", 1024, rng))

        def start(seed: int, threads: int, models: str) -> tuple[subprocess.Popen, Path]:
            command = [sys.executable, CLASSIFICATION / "train_classifier.py"]
            command += ["--dataset", "toy", "--seed", seed, "--steps", steps, "--device", "cpu"]
            command += ["--data_dir", folder, "--models_dir", Path(folder, models)]
            command += ["--save_every", steps, "--test_set_size", 32]
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
            process = subprocess.Popen(
                list(map(str, command)), env=environment, stdout=subprocess.DEVNULL
            )
            return process, runs.run_folder(Path(folder, models), "toy", CONFIG, seed, False)

        def finish(started: list[tuple[subprocess.Popen, Path]]) -> float:
            """Seconds from the first of all steps to the last."""
            for process, _ in started:
                if process.wait() != 0:
                    raise RuntimeError(f"{process.args} failed")
            written = [
                [runs.checkpoint_path(run, step).stat().st_mtime for step in (0, steps - 1)]
                for _, run in started
            ]
            return max(last for _, last in written) - min(first for first, _ in written)

        for repeat in range(1 if quick else 3):
            begin = time.perf_counter()
            one_by_one = [finish([start(seed, measure.THREADS, f"{repeat}a")]) for seed in (1, 2)]
            middle = time.perf_counter()
            side_by_side = finish([start(seed, 1, f"{repeat}b") for seed in (1, 2)])
            whole["plain"].append(middle - begin)
            whole["ours"].append(time.perf_counter() - middle)
            stepping["plain"].append(sum(one_by_one))
            stepping["ours"].append(side_by_side)
    ours, plain = (statistics.median(stepping[way]) for way in ("ours", "plain"))
    return measure.Result(
        work=f"two training runs of {steps} steps, SNS lengths, as a whole",
        ours=statistics.median(whole["ours"]),
        plain=statistics.median(whole["plain"]),
        notes=(
            f"from the first step to the last: {ours:.3g} s, {plain:.3g} s, {plain / ours:.2f}",
        ),
        children=True,
    )


def random_sentences(dataset: str, count: int, rng: np.random.Generator) -> Sentences:
    """Sentences of real lengths, their words drawn with probability about 1 / rank."""
    n_words = lengths.draw(dataset, count, rng, lengths.LONGEST)
    offsets = offsets_of(n_words + 2)
    n_special = len(SPECIALS)
    vocab_size = lengths.VOCAB_SIZE[dataset]
    rank = (vocab_size - n_special) ** rng.random(offsets[-1])
    tokens = n_special - 1 + rank.astype(np.int64)
    tokens[offsets[:-1]], tokens[offsets[1:] - 1] = BOS, EOS
    return Sentences(Ragged(tokens, offsets), rng.integers(0, 2, count))


def write_dataset(folder: Path, sentences: Sentences) -> None:
    """Write the sentences as ``toy_train.json`` and ``toy_test.json``."""
    n_words = int(sentences.tokens.values.max()) + 1
    pairs = [
        [row[1:-1].tolist(), int(label)] for row, label in zip(sentences.tokens, sentences.labels)
    ]
    content = {"vocab": [f"word{i}" for i in range(n_words)], "XY": pairs}
    for split in ("train", "test"):
        (folder / f"toy_{split}.json").write_text(json.dumps(content))


def forward_flop() -> int:
    """Flop of a token in a forward pass of the classifier."""
    states = 2 * CONFIG["h_dim"]
    return (
        measure.lstm_flop(CONFIG["embed_dim"], CONFIG["h_dim"])
        + measure.linear_flop(states, CONFIG["intermediate_dim"])
        + measure.linear_flop(CONFIG["intermediate_dim"], 1)
        + measure.linear_flop(states, 1)
    )


def plain_columns(model: Classifier, sentences: Sentences) -> dict[str, np.ndarray]:
    found = []
    for start in range(0, len(sentences), CONFIG["b_size"]):
        rows = np.arange(start, min(start + CONFIG["b_size"], len(sentences)))
        output, delta = plain.gradient_influence(model, *to_tensors(sentences.take(rows)))
        found.append((output.alpha.detach(), output.beta.detach(), delta))
    columns = (torch.cat(parts).numpy() for parts in zip(*found))
    return dict(zip(("alpha", "beta", "grad"), columns))


def differences(ours: Classifier, theirs: Classifier, batch: Sentences) -> dict[str, float]:
    """Largest differences of the scores, and of the gradients of all weights."""
    tokens, row_lengths, labels = to_tensors(batch)
    score = ours(tokens, row_lengths).score
    plain_score = plain.classify(theirs, tokens, row_lengths).score
    gradients = [
        torch.autograd.grad(nll(score, labels).mean(), list(model.parameters()))
        for model, score in ((ours, score), (theirs, plain_score))
    ]
    return {
        "score": measure.largest_difference(score.detach(), plain_score.detach()),
        "gradient": max(measure.largest_difference(a, b) for a, b in zip(*gradients)),
    }
