"""Own sentences through the saved checkpoints of a translator.

In a notebook (docs/notebook.md)::

    saved = probe.open_runs("multi30k", "translation")
    (reading,) = probe.read(saved, ["ein hund schläft ."])
    reading.alpha["Normal_A", 10000]  # (predicted tokens, source tokens)
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from attention_dynamics.analysis import readings
from attention_dynamics.analysis.columns import columns_of
from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.analysis.readings import Reading
from attention_dynamics.cli import InputError
from attention_dynamics.text import printable
from attention_dynamics.training import checkpoints
from attention_dynamics.training.saved import SavedRuns, open_saved
from attention_dynamics.translation.columns import COLUMNS
from attention_dynamics.translation.data import BOS, EOS, Dataset, Pairs, load_dataset
from attention_dynamics.translation.datasets import DATASETS
from attention_dynamics.translation.decoding import translate
from attention_dynamics.translation.evaluation import Evaluation, dumped_sentences
from attention_dynamics.translation.model import VERSION, Translator, build, load_config
from attention_dynamics.translation.task import TASK


def open_runs(
    dataset: str,
    folder: Path | str = ".",
    config: Path | None = None,
    data_dir: Path | None = None,
    models_dir: Path | None = None,
    configs_dir: Path | None = None,
    device: str | None = None,
    vocab_size: int | None = None,
) -> SavedRuns:
    """A dataset and its saved checkpoints.

    Parameters
    ----------
    folder : where ``data/``, ``models/`` and ``configs/`` are, unless they are given
    config : sizes of the model (default: ``configs/model.json``)
    device : cpu or cuda (default: cuda if available)
    vocab_size : number of pieces; None for the dataset's own

    Raises
    ------
    InputError
        where data or checkpoints are missing, or belong to other settings.
    """
    data_dir, models_dir = data_dir or Path(folder, "data"), models_dir or Path(folder, "models")
    configs_dir = configs_dir or Path(folder, "configs")
    corpus = DATASETS.find(dataset, data_dir)
    sizes = load_config(config or configs_dir / "model.json")
    data = load_dataset(data_dir, dataset, vocab_size)
    train = f'"python train_translation.py --dataset {dataset} ..." makes them'
    runs = checkpoints.known(configs_dir, models_dir, corpus, sizes, grad_by_default=True)
    return open_saved(
        data,
        runs,
        models_dir,
        sizes,
        VERSION,
        lambda uniform: build(sizes, len(data.vocab), uniform),
        train,
        device,
    )


def tokenize(dataset: Dataset, texts: Sequence[str]) -> tuple[list[list[str]], Ragged]:
    """What was typed for each token, with <s> and </s>; and the tokens (int64).

    Raises
    ------
    InputError
        where a text is empty.
    """
    texts = [printable(text.strip()) for text in texts]
    if "" in texts:
        raise InputError("a text is empty")
    encode = partial(dataset.pieces.encode, texts, add_bos=True, add_eos=True)
    return encode(out_type=str), Ragged.from_rows(encode(), dtype=np.int64)


def own_translations(saved: SavedRuns, model: Translator, source: Ragged) -> Ragged:
    """What a model makes of the sentences (beam search), with <s> and </s>: int64."""
    nothing = Ragged.from_rows([[BOS, EOS]] * len(source), dtype=np.int64)
    pairs = Pairs(source, nothing, [""] * len(source))
    found = translate(model, pairs, saved.device)
    return Ragged.from_rows([[BOS, *tokens, EOS] for tokens in found], dtype=np.int64)


def read(
    saved: SavedRuns,
    texts: Sequence[str],
    targets: Sequence[str] | None = None,
    runs: Sequence[str] | None = None,
    iterations: Sequence[int] | None = None,
) -> list[Reading]:
    """What saved checkpoints find in sentences.

    Parameters
    ----------
    targets : a translation of each sentence; None for what the first of the runs makes of it at
        the last of the iterations
    runs, iterations : which checkpoints, see :meth:`SavedRuns.choose`

    Raises
    ------
    InputError
        where a text is empty, a target is missing, or a checkpoint is not there.
    """
    dataset, keys = saved.dataset, saved.choose(runs, iterations)
    typed, source = tokenize(dataset, texts)
    if targets is None:
        last = max(it for name, it in keys if name == keys[0][0])
        target = own_translations(saved, saved.load(keys[0][0], last), source)
    elif len(targets) != len(texts):
        raise InputError(f"{len(texts)} sentences have {len(targets)} targets: give one for each")
    else:
        _, target = tokenize(dataset, targets)
    pairs = Pairs(source, target, list(targets or texts))

    def evaluate(name: str, iteration: int) -> dict:
        evaluation = Evaluation(saved.load(name, iteration), pairs, saved.device)
        metas = {"val_acc": float(100 * evaluation.correct.sum() / len(evaluation.token_losses))}
        p = np.exp(-evaluation.token_losses)
        return columns_of(COLUMNS, evaluation, True) | {"metas": metas, "p": p}

    header = {
        "dataset": dataset.name,
        "vocab": dataset.vocab,
        "sentences": dumped_sentences(pairs, {"val": np.arange(len(pairs))}),
    }
    return readings.read(TASK, header, texts, typed, keys, evaluate)
