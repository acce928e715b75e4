"""Tabulate settings, such as encoders or interventions: every value over seeds, with differences.

A setting is a folder of outputs: run eval_dump.py with --outputs_dir. Each normal run in turn is
the gold run; the first setting is the reference. Settings may differ in their evaluated iterations.

reads:   in each FOLDER: <dataset>_logs.pkl, from eval_dump.py
writes:  a table to the terminal; the same as CSV and curves over training:
         outputs/<dataset>_settings.csv, .png and .pdf; outputs/<dataset>_settings_curves.csv
next:    docs/files.md, "Tables over settings", says how to read them

example:
  python settings.py outputs outputs_h512 --dataset multi30k --names h256 h512
"""

from attention_dynamics import cli
from attention_dynamics.translation.task import TASK
from attention_dynamics.views import settings


def parse_args():
    return settings.parser(__doc__, __file__, TASK).parse_args()


def main():
    settings.tabulate(parse_args(), TASK)


if __name__ == "__main__":
    cli.run(main)
