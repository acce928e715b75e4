"""Write a page to look at training with: alpha, beta and Delta of each token at each checkpoint.

    python explore.py --dataset multi30k

Reads what ``eval_dump.py`` and ``embedding_beta.py`` wrote, and writes one HTML file,
``outputs/<dataset>_explorer.html``, for any browser.
"""

from attention_dynamics import cli
from attention_dynamics.translation.data import DATASETS, beta_path
from attention_dynamics.translation.display import PERFORMANCES, sentences_of, show
from attention_dynamics.translation.evidence import evidence_of
from attention_dynamics.views import explorer


def main():
    args = explorer.parser(
        "Write a page to look at training with.", __file__, DATASETS
    ).parse_args()
    explorer.explore(args, PERFORMANCES, beta_path, evidence_of, sentences_of, show)


if __name__ == "__main__":
    cli.run(main)
