"""Agreement metrics: how well one set of distributions agrees with another (paper, section 3).

To add one, copy ``pearson.py`` and add the module to the table.
"""

from attention_dynamics.analysis.metrics import kendall, pearson, spearman, top5
from attention_dynamics.analysis.metrics.metric import Metric

METRICS: dict[str, Metric] = {
    module.METRIC.name: module.METRIC
    for module in (
        top5,
        kendall,
        spearman,
        pearson,
    )
}
DEFAULT = top5.METRIC.name
