"""Draw agreement and accuracy over training, and one sentence at several checkpoints.

    python plot_dynamics.py --datasets IMDB SNS

Reads what ``collect_classification_stats.py`` and ``eval_dump.py`` wrote, and writes
``outputs/<dataset>_dynamics`` and ``outputs/<dataset>_sentence``, each as PNG and PDF.
"""

from attention_dynamics import cli
from attention_dynamics.classification.data import DATASETS
from attention_dynamics.classification.display import sentence_of
from attention_dynamics.views import figures


def main():
    args = figures.parser(DATASETS, __file__).parse_args()
    figures.plot_dynamics(args, sentence_of)


if __name__ == "__main__":
    cli.run(main)
