"""Look at your own sentences: alpha, beta, Delta and p(label) at saved checkpoints.

A sentence is cut into words as the dataset was. A word that the model does not know is shown as
<unk>, beside what was typed. The gold label is what the first run predicts at the last checkpoint
shown, unless --label gives it.

reads:   models/<dataset>/, from train_classifier.py; data/; the names of the runs from
         configs/<dataset>.json, if there
writes:  nothing, or with --html one page for any browser, without network
next:    docs/notebook.md does the same in a notebook

example:
  python probe.py --dataset IMDB --text "a charming film" --text "not a charming film"
"""

from attention_dynamics import cli
from attention_dynamics.classification import probe
from attention_dynamics.classification.task import TASK
from attention_dynamics.views import probe as view


def parse_args():
    parser = view.parser(__doc__, __file__, TASK)
    parser.add_argument(
        "--label",
        help="gold label, its name or its number (default: what the model predicts)",
    )
    return parser.parse_args()


def main():
    args = parse_args()
    texts = view.texts_of(args)
    saved = probe.open_runs(
        args.dataset,
        config=args.config,
        data_dir=args.data_dir,
        models_dir=args.models_dir,
        configs_dir=args.configs_dir,
        device=args.device,
    )
    iterations = view.iterations_of(args, saved, TASK)
    found = probe.read(saved, texts, args.label, args.runs, iterations)
    view.show(args, TASK, found, saved.dataset.labels, given=args.label is not None)


if __name__ == "__main__":
    cli.run(main)
