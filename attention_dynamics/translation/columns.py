"""The columns of a dump: what is computed for each source and predicted token of a checkpoint."""

from attention_dynamics.analysis.columns import Column

COLUMNS: dict[str, Column] = {
    "alpha": Column("α", r"\alpha", 1, lambda evaluation: evaluation.alpha, words="attention"),
    "beta": Column("β", r"\beta", 1, lambda evaluation: evaluation.beta, words="evidence"),
    "grad": Column(
        "Δ",
        r"\Delta",
        1,
        lambda evaluation: evaluation.delta,
        compared=True,
        on_request=True,
        words="gradient influence",
    ),
}
