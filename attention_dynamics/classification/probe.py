"""Own sentences through the saved checkpoints of a classifier.

In a notebook (docs/notebook.md)::

    saved = probe.open_runs("toy", "classification")
    (reading,) = probe.read(saved, ["a superb film"])
    reading.alpha["Normal_A", 119]  # the attention on each of reading.words
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from attention_dynamics.analysis import readings
from attention_dynamics.analysis.columns import columns_of
from attention_dynamics.analysis.ragged import Ragged
from attention_dynamics.analysis.readings import Reading
from attention_dynamics.classification.columns import COLUMNS
from attention_dynamics.classification.data import (
    BOS,
    EOS,
    SPECIALS,
    UNK,
    Dataset,
    Sentences,
    load_dataset,
)
from attention_dynamics.classification.datasets import DATASETS
from attention_dynamics.classification.evaluation import Evaluation, dumped_sentences
from attention_dynamics.classification.model import VERSION, Classifier, build, load_config, predict
from attention_dynamics.classification.preparation import load_tokenizer
from attention_dynamics.classification.task import TASK
from attention_dynamics.cli import InputError
from attention_dynamics.training import checkpoints
from attention_dynamics.training.saved import SavedRuns, open_saved


def open_runs(
    dataset: str,
    folder: Path | str = ".",
    config: Path | None = None,
    data_dir: Path | None = None,
    models_dir: Path | None = None,
    configs_dir: Path | None = None,
    device: str | None = None,
) -> SavedRuns:
    """A dataset and its saved checkpoints.

    Parameters
    ----------
    folder : where ``data/``, ``models/`` and ``configs/`` are, unless they are given
    config : sizes of the model (default: ``configs/model.json``)
    device : cpu or cuda (default: cuda if available)

    Raises
    ------
    InputError
        where data or checkpoints are missing, or belong to other settings.
    """
    data_dir, models_dir = data_dir or Path(folder, "data"), models_dir or Path(folder, "models")
    configs_dir = configs_dir or Path(folder, "configs")
    corpus = DATASETS.find(dataset, data_dir)
    sizes = load_config(config or configs_dir / "model.json")
    data = load_dataset(data_dir, dataset)
    train = f'"python train_classifier.py --dataset {dataset} ..." makes them'
    runs = checkpoints.known(configs_dir, models_dir, corpus, sizes, grad_by_default=True)
    return open_saved(
        data,
        runs,
        models_dir,
        sizes,
        VERSION,
        lambda uniform: build(sizes, len(data.vocab), uniform, len(data.labels)),
        train,
        device,
    )


def tokenize(dataset: Dataset, texts: Sequence[str]) -> tuple[list[list[str]], Ragged]:
    """What was typed for each token, with <bos> and <eos>; and the tokens (int64).

    Raises
    ------
    InputError
        where a text has no words.
    """
    split = load_tokenizer(dataset.tokenizer)
    token_of = {word: token for token, word in enumerate(dataset.vocab)}
    typed = []
    for text in texts:
        words = split(text)
        if not words:
            raise InputError(f"{text!r} has no words")
        typed.append([SPECIALS[BOS], *words, SPECIALS[EOS]])
    rows = [[token_of.get(word, UNK) for word in words] for words in typed]
    return typed, Ragged.from_rows(rows, dtype=np.int64)


def predicted_labels(saved: SavedRuns, model: Classifier, tokens: Ragged) -> np.ndarray:
    """The most probable label of each sentence: int64 (sentences,)."""
    sentences = Sentences(tokens, np.zeros(len(tokens), dtype=np.int64))  # scores need no labels
    scores = Evaluation(model, sentences, False, saved.device).scores
    return predict(torch.from_numpy(scores).squeeze(1)).numpy()


def label_number(label: str | int, labels: Sequence[str]) -> int:
    """The number of a label that is given by its name or its number.

    Raises
    ------
    InputError
        where there is no such label.
    """
    names = [*labels, *map(str, range(len(labels)))]
    if str(label) not in names:
        known = ", ".join(f"{number} {name}" for number, name in enumerate(labels))
        raise InputError(f"there is no label {label} (there are {known})")
    return names.index(str(label)) % len(labels)


def read(
    saved: SavedRuns,
    texts: Sequence[str],
    label: str | int | None = None,
    runs: Sequence[str] | None = None,
    iterations: Sequence[int] | None = None,
) -> list[Reading]:
    """What saved checkpoints find in sentences.

    Parameters
    ----------
    label : the gold label of all sentences, a name or a number; None for what the first of the
        runs predicts at the last of the iterations
    runs, iterations : which checkpoints, see :meth:`SavedRuns.choose`

    Raises
    ------
    InputError
        where a text is empty, or a label or a checkpoint is not there.
    """
    dataset, keys = saved.dataset, saved.choose(runs, iterations)
    typed, tokens = tokenize(dataset, texts)
    if label is None:
        last = max(it for name, it in keys if name == keys[0][0])
        gold = predicted_labels(saved, saved.load(keys[0][0], last), tokens)
    else:
        gold = np.full(len(tokens), label_number(label, dataset.labels))
    sentences = Sentences(tokens, gold)

    def evaluate(name: str, iteration: int) -> dict:
        evaluation = Evaluation(saved.load(name, iteration), sentences, True, saved.device)
        metas = {"test_acc": float(evaluation.correct.mean())}
        p = np.exp(-evaluation.losses)
        return columns_of(COLUMNS, evaluation, True) | {"metas": metas, "p": p}

    header = {
        "dataset": dataset.name,
        "labels": list(dataset.labels),
        "vocab": dataset.vocab,
        "sentences": dumped_sentences(sentences, {"val": np.arange(len(sentences))}),
    }
    return readings.read(TASK, header, texts, typed, keys, evaluate)
