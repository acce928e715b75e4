"""Measure how fast our way is beside the plain way, in one run on one machine.

    python benchmarks/run.py bilstm_long
    python benchmarks/run.py --list

Prints a small table, and as the last line the same as JSON. Speed is stated as a ratio of times,
and as the share of the machine's matrix-multiplication rate that useful arithmetic reaches (that
of real tokens, not of padding). Everything is measured on the CPU, with two threads; copier_batch
alone on a GPU where there is one.
"""

import argparse
import json
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass

import agreement
import classifier
import copier
import encoders
import measure
import torch
import translator

from attention_dynamics import cli
from attention_dynamics.cli import InputError
from attention_dynamics.kernels.memory import keep_freed_memory


@dataclass(frozen=True)
class Benchmark:
    """``measured(quick)`` measures it; the targets are for two CPU cores."""

    measured: Callable[[bool], measure.Result]
    what: str
    ratio: float
    gemm_share: float | None = None

    def targets(self) -> str:
        share = "" if self.gemm_share is None else f", gemm_share >= {self.gemm_share:.2f}"
        return f"ratio >= {self.ratio:g}{share}"


BENCHMARKS = {
    "bilstm_long": Benchmark(
        classifier.bilstm_long, "BiLSTM forward and backward, long reviews", 25, 0.40
    ),
    "classifier_step": Benchmark(classifier.step, "a training step, IMDB lengths", 4),
    "classifier_step_short": Benchmark(classifier.step_short, "a training step, SNS lengths", 1.3),
    "encoders": Benchmark(encoders.steps, "a training step with each encoder, both tasks", 1),
    "jobs": Benchmark(classifier.jobs, "two training runs side by side", 1.4),
    "classifier_dump": Benchmark(classifier.dump, "alpha, beta, Delta of a checkpoint", 4),
    "translation_step": Benchmark(translator.step, "a training step, multi30k lengths", 2),
    "translation_beta": Benchmark(translator.beta, "beta of a checkpoint, multi30k", 3),
    "translation_grad": Benchmark(translator.grad, "Delta of a checkpoint, multi30k", 4),
    "beam": Benchmark(translator.beam, "BLEU of multi30k validation", 3),
    "translation_dump_memory": Benchmark(
        translator.dump_memory, "peak memory of a dump, of 8 GiB", 1
    ),
    "copier_step": Benchmark(copier.step, "a training step of a copier", 1.2, 0.5),
    "multihead_step": Benchmark(copier.step_heads, "the same with 8 heads", 1.2, 0.5),
    "copier_jobs": Benchmark(copier.jobs, "two seeds side by side", 1.2),
    "copier_batch": Benchmark(copier.batch, "20 seeds as one; target for a GPU", 8),
    "agreement_top5": Benchmark(agreement.top5, "top-5% match with baseline", 20),
    "agreement_kendall": Benchmark(agreement.kendall, "Kendall's tau with baseline", 5),
    "agreement_spearman": Benchmark(agreement.spearman, "Spearman's rho with baseline", 10),
    "agreement_pearson": Benchmark(agreement.pearson, "Pearson's r with baseline", 20),
}


def list_benchmarks() -> str:
    return "\n".join(
        f"{name:22} {benchmark.what:44} {benchmark.targets()}"
        for name, benchmark in BENCHMARKS.items()
    )


def parse_args() -> argparse.Namespace:
    parser = cli.Parser("Measure our way and the plain way of one piece of work.")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"benchmarks and their targets on two cores:\n{list_benchmarks()}"
    parser.add_argument("name", metavar="NAME", nargs="?", help="one of those below")
    parser.add_argument(
        "--quick", action="store_true", help="less work and fewer repetitions: 40 seconds at most"
    )
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    return parser.parse_args()


def format_table(benchmark: Benchmark, result: measure.Result) -> str:
    lines = [result.work]
    if result.difference is not None:
        found = ", ".join(f"{name} {value:.1e}" for name, value in result.difference.items())
        lines.append(f"largest difference between the two ways: {found}")
    lines += [
        *result.notes,
        f"{'':12} {'measured':>10} {'target':>8}",
        f"{'our way':12} {result.ours:8.4g} {result.unit}",
        f"{'plain way':12} {result.plain:8.4g} {result.unit}",
        f"{'ratio':12} {result.ratio:10.4g} {benchmark.ratio:8.4g}",
    ]
    if result.gemm_share is not None:
        target = "" if benchmark.gemm_share is None else f"{benchmark.gemm_share:.2f}"
        lines.append(f"{'gemm_share':12} {result.gemm_share:10.3f} {target:>8}")
    return "\n".join(lines)


def peak_rss_mb(children: bool) -> float:
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(who).ru_maxrss * unit / 2**20


def main() -> None:
    args = parse_args()
    if args.list:
        print(list_benchmarks())
        return
    if args.name not in BENCHMARKS:
        wrong = "no benchmark named" if args.name is None else f"no benchmark {args.name!r}"
        raise InputError(f"{wrong}: it is one of {', '.join(BENCHMARKS)}")
    torch.set_num_threads(measure.THREADS)
    benchmark = BENCHMARKS[args.name]
    if benchmark.measured.__module__ != agreement.__name__:
        keep_freed_memory()  # as the scripts do that train models and evaluate them
    result = benchmark.measured(args.quick)
    print(format_table(benchmark, result))
    line = {
        "name": args.name,
        "ratio": round(result.ratio, 3),
        "gemm_share": None if result.gemm_share is None else round(result.gemm_share, 4),
        "peak_rss_mb": round(peak_rss_mb(result.children), 1),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    cli.run(main)
