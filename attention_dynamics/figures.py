"""Figures: how agreement and performance go over training."""

from pathlib import Path
from typing import Any

from attention_dynamics.dynamics import NOTATION

# Okabe and Ito's colours, told apart by colour-blind readers; dashes tell them apart in print.
LEVELS = {
    "agr_unif": ("#0072B2", "--"),
    "agr_px": ("#009E73", "-."),
    "agr_grad": ("#CC79A7", ":"),
    "baseline": ("#999999", (0, (1, 3))),
}
CURVE, PERFORMANCE = "#000000", "#D55E00"


def draw_dynamics(results: dict[tuple, dict[str, Any]], path: Path) -> None:
    """Draw one panel for each summary in ``results``, and write ``path`` (PNG, PDF, …).

    A panel shows the agreement of attention with the gold attention over training
    (``alpha_corrs``), the levels ``agr_*`` and the baseline as horizontal lines, and the
    performance on a second axis. The axis of iterations is linear near 0, then logarithmic:
    most happens early.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import ScalarFormatter

    from attention_dynamics.storage import write_whole

    figure, axes = plt.subplots(
        1, len(results), figsize=(5.2 * len(results), 4.2), squeeze=False, layout="constrained"
    )
    for axis, ((dataset, metric, split, performance), summary) in zip(axes[0], results.items()):
        iterations = summary["iterations"]
        handles = axis.plot(
            iterations,
            [summary["alpha_corrs"][it] for it in iterations],
            color=CURVE,
            marker="o",
            markersize=3,
            label="A(α, α of another seed)",
        )
        for key, (color, dashes) in LEVELS.items():
            if summary[key] is not None:
                line = axis.axhline(
                    summary[key], color=color, linestyle=dashes, label=NOTATION[key]
                )
                handles.append(line)
        axis.set_xscale("symlog", linthresh=max(1, iterations[1] if len(iterations) > 1 else 1))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.set_xlim(left=0)
        axis.set_xlabel("iteration")
        axis.set_ylabel(f"agreement ({metric})")
        axis.set_title(f"{dataset}, {split}")

        second = axis.twinx()
        handles += second.plot(
            iterations,
            [summary["alpha_perfs"][it] for it in iterations],
            color=PERFORMANCE,
            linewidth=1,
            marker="s",
            markersize=2.5,
            label=performance,
        )
        second.set_ylabel(performance, color=PERFORMANCE)
        second.tick_params(axis="y", colors=PERFORMANCE)
        axis.legend(handles=handles, loc="lower right", fontsize=8, framealpha=0.9)

    with write_whole(path) as file:
        figure.savefig(file, format=path.suffix.lstrip(".") or "png", dpi=150)
    plt.close(figure)
