"""Compare two settings, such as two encoders: every value of the table, and how sure it is.

A setting is a folder of outputs: run eval_dump.py and embedding_beta.py with --outputs_dir. The
sentences that both settings evaluated are paired.

reads:   in A and B: <dataset>_logs.pkl, from eval_dump.py;
         <dataset>embedding<embed_dim>beta.pkl, from embedding_beta.py
writes:  a table to the terminal, with intervals and p values; the same as CSV and as a figure:
         outputs/<dataset>_<A>_vs_<B>.csv, .png and .pdf
next:    docs/files.md, "Comparing two settings", says how to read them

example:
  python compare.py outputs outputs_average --dataset IMDB --names LSTM average
"""

from attention_dynamics import cli
from attention_dynamics.classification.task import TASK
from attention_dynamics.views import comparison


def main():
    comparison.compare(comparison.parser(__doc__, __file__, TASK).parse_args(), TASK)


if __name__ == "__main__":
    cli.run(main)
