"""Write an interactive page: does attention (alpha) go where the evidence (beta^uf) is?

reads:   outputs/<dataset>_logs.pkl, from eval_dump.py; the word baseline of embedding_beta.py, if
         there
writes:  outputs/<dataset>_explorer.html: one file, for any browser, without network
next:    report.py in the root, which links to it

example:
  python explore.py --dataset multi30k
  python explore.py --dataset multi30k --worst --sentences 50
"""

from attention_dynamics import cli
from attention_dynamics.translation.task import TASK
from attention_dynamics.views import explorer


def main():
    explorer.explore(explorer.parser(__doc__, __file__, TASK).parse_args(), TASK)


if __name__ == "__main__":
    cli.run(main)
