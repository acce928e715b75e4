"""The figure of what the published grid costs: hours against workers."""

from typing import Any

from attention_dynamics.views.drawing import Columns, Rows, Style, pyplot

COLUMNS: Columns = {str: ("target",), int: ("workers",), float: ("hours",)}


def draw(rows: Rows, _style: Style) -> Any:
    """A curve for each target of the grid; dotted: if no job waited for another."""
    figure, axes = pyplot().subplots(figsize=(5, 3), layout="constrained")
    for number, target in enumerate(dict.fromkeys(row["target"] for row in rows)):
        mine = [row for row in rows if row["target"] == target]
        workers, hours = ([row[name] for row in mine] for name in ("workers", "hours"))
        axes.loglog(workers, hours, "o-", color=f"C{number}", label=target)
        axes.loglog(workers, [hours[0] / n for n in workers], ":", color=f"C{number}")
    axes.set(
        xlabel="workers, one core each (dotted: no job waits)", ylabel="hours until the report"
    )
    axes.set_xticks([1, 10, 100], ["1", "10", "100"])
    axes.legend()
    return figure
