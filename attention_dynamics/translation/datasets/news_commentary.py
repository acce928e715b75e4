"""news_commentary_v14_x_y: News Commentary v14, three pairs of languages."""

from pathlib import Path

from attention_dynamics.cli import InputError
from attention_dynamics.files.download import PublicFile
from attention_dynamics.translation.datasets.corpus import (
    FIRST_ITERATIONS,
    SAVES,
    Corpus,
    Options,
    Pair,
    Splits,
)
from attention_dynamics.translation.datasets.readers import (
    draw_validation,
    leave_out_empty,
    read_lines,
)

VAL_SIZE = 2000  # pairs for validation


def corpus(x: str, y: str, epochs: int, last_iterations: tuple[int, ...]) -> Corpus:
    """The dataset of two languages."""
    name = f"news-commentary-v14.{x}-{y}.tsv"

    def read(paths: list[Path], options: Options) -> Splits:
        pairs = leave_out_empty(read_pairs(paths, name))
        return draw_validation(pairs, options.val_size or VAL_SIZE, options.seed)

    url = f"http://data.statmt.org/news-commentary/v14/training/{name}.gz"
    return Corpus(
        name=f"news_commentary_v14_{x}_{y}",
        files=(PublicFile(f"{name}.gz", url),),
        read=read,
        folder=f"news-commentary-v14-{x}-{y}",
        source="src",
        target="trg",
        json=True,
        published=True,
        train=f"--epochs {epochs} {SAVES}",
        iterations=(*FIRST_ITERATIONS, *range(16000, 40001, 6000), *last_iterations),
    )


def read_pairs(paths: list[Path], name: str) -> list[Pair]:
    """The two sides of a line, with a tab between them."""
    pairs = []
    for number, line in enumerate(read_lines(paths, [name])[name], start=1):
        columns = line.split("\t")
        if len(columns) != 2:
            raise InputError(
                f"{name}, line {number}: not two columns with a tab between them; get the public "
                "file again"
            )
        pairs.append((columns[0].strip(), columns[1].strip()))
    return pairs


EN_NL = corpus("en", "nl", 40, (50000, 60000, 70000, 80000, 90000, 100000, 130000))
EN_PT = corpus("en", "pt", 30, (50000, 60000, 70000, 80000, 90000))
IT_PT = corpus("it", "pt", 40, (50000, 52000))
