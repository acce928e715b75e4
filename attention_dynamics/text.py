"""Text for people to read: words, labels and names as data files and folders have them."""

import re

# What a terminal obeys (controls, line ends, a reversal of the direction), what XML forbids, and
# what no UTF-8 has: halves of surrogate pairs, as JSON can hold, and as Python reads names that are
# not UTF-8.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """``text`` as a terminal, a page or a figure can show it: � stands for what none can."""
    return UNPRINTABLE.sub("�", text)


def written_out(text: str) -> str:
    """``text`` for a file of UTF-8, in which a word stays itself: half a pair as ``\\ud800``."""
    return text.encode(errors="backslashreplace").decode()
