"""Draw agreement and accuracy over training from what collect_classification_stats.py wrote.

python plot_dynamics.py --datasets IMDB --stats outputs/stats.pkl --out_file outputs/IMDB.png
"""

from attention_dynamics import cli, figures

from data import ALIASES, DATASETS


def main():
    figures.plot_dynamics(figures.parser(DATASETS, ALIASES).parse_args())


if __name__ == "__main__":
    cli.run(main)
