"""multi30k: captions of images, German to English (Elliott et al. 2016)."""

from pathlib import Path

from attention_dynamics.files.download import PublicFile
from attention_dynamics.translation.datasets.corpus import (
    FIRST_ITERATIONS,
    Corpus,
    Options,
    Pair,
    Splits,
)
from attention_dynamics.translation.datasets.readers import leave_out_empty, read_lines, zip_sides

URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"


def read(paths: list[Path], _options: Options) -> Splits:
    return {split: leave_out_empty(read_split(paths, split)) for split in ("train", "val")}


def read_split(paths: list[Path], split: str) -> list[Pair]:
    """One caption per line."""
    names = [f"multi30k/{split}.{language}" for language in ("de", "en")]
    return zip_sides(read_lines(paths, names), *names)


CORPUS = Corpus(
    name="multi30k",
    files=tuple(
        PublicFile(f"multi30k/{name}.gz", f"{URL}{name}.gz", f"sha256:{checksum}")
        for name, checksum in {
            "train.de": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
            "train.en": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
            "val.de": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
            "val.en": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
        }.items()
    ),
    read=read,
    folder="multi30k",
    source="de",
    target="en",
    published=True,
    iterations=(*FIRST_ITERATIONS, *range(12000, 20000, 2000), *range(20000, 36001, 4000)),
    authors={
        **{"agr_unif": 0.310, "agr_px": 0.344, "agr_grad": 0.271, "baseline": 0.071},
        **{"xi_unif": 43.4, "xi_px": 43.4, "xi_grad": 43.4, "best_perf": 66.3},
    },
)
