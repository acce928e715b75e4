"""SNS: the SMS Spam Collection (Almeida et al. 2011)."""

from pathlib import Path

from attention_dynamics.classification.datasets.corpus import Corpus, Examples
from attention_dynamics.classification.datasets.readers import damaged, part_of
from attention_dynamics.files import archives
from attention_dynamics.files.download import PublicFile


def read(paths: list[Path], split: str, seed: int) -> Examples:
    """``ham`` or ``spam``, a tab, a message; it comes without a split."""
    name = "SMSSpamCollection"
    examples, continued = [], []
    for _, file in archives.read_files(paths, [name]):
        for number, line in enumerate(archives.text_lines(file), start=1):
            kind, tab, text = line.partition("\t")
            if tab and kind in ("ham", "spam"):
                examples.append((text, int(kind == "spam")))
            elif examples and not tab:  # a message may contain a line break
                text, label = examples[-1]
                examples[-1] = (f"{text} {line}", label)
                continued += [number] if line.strip() else []
            else:
                raise damaged(name, number, "not ham or spam, a tab and a message")
    if continued and split == "train":
        numbers = ", ".join(map(str, continued[:5])) + (", …" if len(continued) > 5 else "")
        print(f"{name}: taken as part of the message before, having no label: line {numbers}")
    yield from part_of(examples, split, seed)


CORPUS = Corpus(
    name="SNS",
    other_names=("SMS",),
    files=(
        PublicFile(
            "sms+spam+collection.zip",
            "https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip",
            "sha256:1587ea43e58e82b14ff1f5425c88e17f8496bfcdb67a583dbff9eefaf9963ce3",
        ),
    ),
    read=read,
    labels=("ham", "spam"),
    published=True,
)
