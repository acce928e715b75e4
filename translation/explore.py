"""Write a page to explore training: alpha, beta and Delta of each token at each checkpoint.

    python explore.py --dataset multi30k

Reads what ``eval_dump.py`` and ``embedding_beta.py`` wrote, and writes one HTML file,
``outputs/<dataset>_explorer.html``, for any browser.
"""

from attention_dynamics import cli
from attention_dynamics.translation.task import TASK
from attention_dynamics.views import explorer


def parse_args():
    return explorer.parser("Write a page to explore training.", __file__, TASK).parse_args()


def main():
    explorer.explore(parse_args(), TASK)


if __name__ == "__main__":
    cli.run(main)
