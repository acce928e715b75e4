"""What the copiers of an experiment have in common besides their sizes, and its flags."""

import argparse
from dataclasses import dataclass
from typing import Any

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.copying.model import VERSION
from attention_dynamics.training import optimizers

MAX_VOCAB = 2**20  # a batch of keys to sort by is then 1 GB


@dataclass(frozen=True)
class Settings:
    """The data, the training and the evaluation of an experiment.

    As in the published loops of ``steps`` steps: with ``first_eval`` 1 (seq2seq.py) a step
    evaluates after its update, with 0 (multihead.py) before it.
    """

    n_vocab: int
    length: int
    no_rep: bool
    batch_size: int = 128
    steps: int = 200
    eval_every: int = 10
    optimizer: str = "adam"
    lr: float = 0.001
    first_eval: int = 0
    no_eos: bool = False
    version: int = VERSION

    @property
    def evaluations(self) -> range:
        """The numbers of updates after which models are evaluated. Training ends at the last."""
        return range(self.first_eval, self.first_eval + self.steps, self.eval_every)


@dataclass(frozen=True)
class Repeating(Settings):
    """Settings of training data in which whole sequences come again.

    Attributes
    ----------
    share : of each training batch that is drawn from the pool; the rest are new sequences
    pool : sequences in it, drawn once for each seed; no model is evaluated on them
    """

    share: float = 0.25
    pool: int = 16


def add_settings(parser: cli.Parser) -> None:
    """The flags of :class:`Settings`, and ``--hidden_dim``; defaults are the published values."""
    number = cli.positive_int
    parser.add_argument("--num_vocab", type=number, default=40, help="tokens in the vocabulary")
    parser.add_argument("--seq_length", type=number, default=40, help="tokens in a sequence")
    parser.add_argument("--hidden_dim", type=number, default=256, help="hidden size")
    parser.add_argument("--bsize", type=number, default=128, help="batch size")
    parser.add_argument(
        "--steps",
        "--steps_s1",
        type=number,
        default=200,
        help="training steps; training stops after the last evaluation within them",
    )
    parser.add_argument(
        "--eval_every", "--save_every", type=number, default=10, help="steps between evaluations"
    )
    optimizers.add_flags(parser)


def settings_of(args: argparse.Namespace, no_rep: bool, **others: Any) -> Settings:
    """The settings that the flags of :func:`add_settings` give, and ``others``.

    Raises
    ------
    InputError
        if the vocabulary is too large, or too small for ``no_rep``, or nothing is trained.
    """
    if no_rep and args.num_vocab < args.seq_length:
        raise InputError(
            f"without repetition there are no {args.seq_length} different tokens in a vocabulary "
            f"of {args.num_vocab}; give a larger --num_vocab or a smaller --seq_length"
        )
    if args.num_vocab > MAX_VOCAB:
        raise InputError(f"--num_vocab {args.num_vocab}: {MAX_VOCAB} tokens at most")
    settings = Settings(
        n_vocab=args.num_vocab,
        length=args.seq_length,
        no_rep=no_rep,
        batch_size=args.bsize,
        steps=args.steps,
        eval_every=args.eval_every,
        optimizer=args.optimizer,
        lr=args.lr,
        **others,
    )
    if settings.evaluations[-1] == 0:
        raise InputError(
            f"--steps {args.steps} with --eval_every {args.eval_every}: the only evaluation is "
            "before the first step; give more --steps or a smaller --eval_every"
        )
    return settings
