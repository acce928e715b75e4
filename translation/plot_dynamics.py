"""Draw agreement and performance over training, and one sentence at several checkpoints.

    python plot_dynamics.py --datasets multi30k

Reads what ``collect_translation_stats.py`` and ``eval_dump.py`` wrote, and writes
``outputs/<dataset>_dynamics`` and ``outputs/<dataset>_sentence``, each as PNG and PDF.
"""

from typing import Any

from attention_dynamics import cli, figures
from attention_dynamics.ragged import Ragged, offsets_of

from data import DATASETS


def sentence_of(dump: dict[str, Any], number: int | None) -> figures.Sentence:
    """An evaluated sentence by its number, or one that fits a page."""
    sentences = dump["sentences"]
    source = Ragged(sentences["source"], sentences["source_offsets"])
    target = Ragged(sentences["target"], sentences["target_offsets"])
    number = figures.sentence_number(number, source.lengths, dump["dataset"])
    offsets = offsets_of(source.lengths * (target.lengths - 1))
    return figures.Sentence(
        title=f"{dump['dataset']}, sentence {number} ({sentences['split'][number]})",
        source=[dump["vocab"][token] for token in source[number]],
        target=[dump["vocab"][token] for token in target[number][1:]],
        entries=slice(offsets[number], offsets[number + 1]),
    )


def main():
    args = figures.parser(DATASETS, __file__).parse_args()
    figures.plot_dynamics(args, sentence_of)


if __name__ == "__main__":
    cli.run(main)
