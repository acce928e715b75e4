"""Draw figures: agreement and performance over training, one sentence at several checkpoints.

    python plot_dynamics.py --datasets multi30k

Reads what ``collect_translation_stats.py`` and ``eval_dump.py`` wrote, and writes
``outputs/<dataset>_<figure>`` as PNG and PDF for each entry of ``FIGURES`` in
``attention_dynamics/views/figures``.
"""

from attention_dynamics import cli
from attention_dynamics.translation.task import TASK
from attention_dynamics.views import plotting


def parse_args():
    return plotting.parser("Draw figures of collected results.", __file__, TASK).parse_args()


def main():
    plotting.plot_dynamics(parse_args(), TASK)


if __name__ == "__main__":
    cli.run(main)
