"""Draw agreement and performance over training, one sentence at several checkpoints, and words.

reads:   outputs/stats.pkl, from collect_translation_stats.py; outputs/<dataset>_logs.pkl, from
         eval_dump.py
writes:  outputs/<dataset>_dynamics, _sentence and _words, each as .png, .pdf, .svg and, with the
         numbers that are drawn, .csv
next:    explore.py; report.py in the root

example:
  python plot_dynamics.py --datasets multi30k
"""

from attention_dynamics import cli
from attention_dynamics.translation.task import TASK
from attention_dynamics.views import plotting


def main():
    plotting.plot_dynamics(plotting.parser(__doc__, __file__, TASK).parse_args(), TASK)


if __name__ == "__main__":
    cli.run(main)
