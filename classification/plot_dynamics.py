"""Draw agreement and accuracy over training, and one sentence at several checkpoints.

    python plot_dynamics.py --datasets IMDB SNS

Reads what ``collect_classification_stats.py`` and ``eval_dump.py`` wrote, and writes
``outputs/<dataset>_dynamics`` and ``outputs/<dataset>_sentence``, each as PNG and PDF.
"""

from typing import Any

import numpy as np

from attention_dynamics import cli, figures

from data import DATASETS


def sentence_of(dump: dict[str, Any], number: int | None) -> figures.Sentence:
    """An evaluated sentence by its number, or one that fits a page."""
    sentences = dump["sentences"]
    offsets = sentences["offsets"]
    number = figures.sentence_number(number, np.diff(offsets), dump["dataset"])
    entries = slice(offsets[number], offsets[number + 1])
    label = int(sentences["target"][number])
    return figures.Sentence(
        title=f"{dump['dataset']}, sentence {number} ({sentences['split'][number]}), label {label}",
        source=[dump["vocab"][token] for token in sentences["tokens"][entries]],
        target=None,
        entries=entries,
        sign=2 * label - 1,
    )


def main():
    args = figures.parser(DATASETS, __file__).parse_args()
    figures.plot_dynamics(args, sentence_of)


if __name__ == "__main__":
    cli.run(main)
