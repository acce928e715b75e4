"""Look at your own sentences: alpha, beta, Delta and p of each target token at saved checkpoints.

The target is the translation that the first run finds at the last checkpoint shown (beam search),
unless --target gives it. A piece that the model does not know is shown as <unk>, beside what was
typed.

reads:   models/<dataset>/, from train_translation.py; data/; the names of the runs from
         configs/<dataset>.json, if there
writes:  nothing, or with --html one page for any browser, without network
next:    docs/notebook.md does the same in a notebook

example:
  python probe.py --dataset multi30k --text "ein hund schläft ." --target "a dog sleeps ."
"""

from attention_dynamics import cli
from attention_dynamics.translation import probe
from attention_dynamics.translation.data import add_vocab_size
from attention_dynamics.translation.task import TASK
from attention_dynamics.views import probe as view


def parse_args():
    parser = view.parser(__doc__, __file__, TASK)
    parser.add_argument(
        "--target",
        action="append",
        metavar="SENTENCE",
        help="translation of each sentence, in the same order (default: the model's own)",
    )
    add_vocab_size(parser)
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
        vocab_size=args.vocab_size,
    )
    iterations = view.iterations_of(args, saved, TASK)
    found = probe.read(saved, texts, args.target, args.runs, iterations)
    view.show(args, TASK, found, given=args.target is not None)


if __name__ == "__main__":
    cli.run(main)
