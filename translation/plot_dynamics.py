"""Draw agreement and accuracy or BLEU over training from what collect_translation_stats.py wrote.

python plot_dynamics.py --datasets multi30k --stats outputs/stats.pkl --out_file outputs/m30k.png
"""

from attention_dynamics import cli, figures

from data import ALIASES, DATASETS


def main():
    figures.plot_dynamics(figures.parser(DATASETS, ALIASES).parse_args())


if __name__ == "__main__":
    cli.run(main)
