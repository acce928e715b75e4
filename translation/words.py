"""Show which words have evidence early in training, and the attention that they get later.

For the pairs of a source and a target piece with the most beta^uf (evidence in the run with uniform
attention) at an early checkpoint: their beta^uf and attention through training.

reads:   outputs/<dataset>_logs.pkl, from eval_dump.py; the word baseline of embedding_beta.py, if
         there
writes:  tables to the terminal; outputs/<dataset>_word_means.csv, the means of all words in all
         runs; outputs/<dataset>_words, a figure, as .png,
         .pdf and .svg, and its numbers as .csv
next:    explore.py, to see these words in their sentences

example:
  python words.py --dataset multi30k --words 15
"""

from attention_dynamics import cli
from attention_dynamics.translation.task import TASK
from attention_dynamics.views import words


def main():
    words.show_words(words.parser(__doc__, __file__, TASK).parse_args(), TASK)


if __name__ == "__main__":
    cli.run(main)
