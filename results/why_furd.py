"""Furd: is it the choice of sentences, or of training data, that separates us from the authors?

Without flags it writes the table, from outputs/ of the published runs and of two variants:
rare, in which words seen once or twice in training are no <unk>; phrases, with all labelled phrases
of the treebank as training data. --prepare writes their data. In classification/, after
"python reproduce.py --dataset Furd" in the root, for each seed (20 13 14 15 16 17, 12 --uniform):

  python ../results/why_furd.py --prepare trainDevTestTrees_PTB.zip
  S="--steps 1000 --save_every 250 --custom_saves 0,10,50,100,150,200,250 --seed SEED"
  I="--iterations 0,10,50,100,150,200,250,500,750"
  R="--dataset Furd --data_dir data/rare"
  P="--dataset Furd_phrases"
  python train_classifier.py $R --models_dir models/rare $S
  python eval_dump.py $R --models_dir models/rare --outputs_dir outputs/rare $I
  python embedding_beta.py $R --outputs_dir outputs/rare --epochs 60 --lr 0.00015
  python train_classifier.py $P $S
  python eval_dump.py $P $I
  python embedding_beta.py $P --epochs 60 --lr 0.00015
  python ../results/why_furd.py

reads:   classification/outputs/; with --prepare, the archive and classification/data/Furd_*.json
writes:  results/Furd_why.csv; with --prepare, classification/data/rare/ and Furd_phrases_*.json
next:    results/make.py

example:
  python results/why_furd.py
"""

import csv
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from attention_dynamics import cli
from attention_dynamics.analysis import collection, dynamics
from attention_dynamics.analysis.dump import load_dump
from attention_dynamics.analysis.evidence import Evidence, RunNames
from attention_dynamics.analysis.metrics import DEFAULT, METRICS
from attention_dynamics.classification.datasets.furd import plain_word
from attention_dynamics.classification.task import TASK
from attention_dynamics.files import archives, storage

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "classification"
AUTHORS = 1421  # test sentences that the authors evaluated
LAST = 750  # iterations after it are left out: the variants were trained for 1,000 updates
LEVELS = (
    *("agr_unif", "agr_px", "agr_grad", "baseline"),
    *("xi_unif", "xi_px", "xi_grad", "best_perf"),
)


def parse_args():
    parser = cli.Parser(__doc__)
    parser.add_argument("--prepare", type=Path, metavar="ARCHIVE", help="write the variants' data")
    return parser.parse_args()


def main():
    args = parse_args()
    if args.prepare:
        prepare(args.prepare)
        return
    variants = {
        "public split": (FOLDER / "outputs", "Furd"),
        "rare words kept": (FOLDER / "outputs/rare", "Furd"),
        "trained on phrases": (FOLDER / "outputs", "Furd_phrases"),
    }
    rows = []
    for name, (outputs, dataset) in variants.items():
        runs, evidence, lengths = read(outputs, dataset)
        of = (runs, evidence, METRICS[DEFAULT], TASK.levels)
        measured = dynamics.measure(*of)
        every = np.arange(len(lengths))
        chosen = {
            "all": every,
            "shortest": np.argsort(lengths, kind="stable")[:AUTHORS],
            "random": np.random.default_rng(0).choice(every, AUTHORS, replace=False),
        }
        spread = dynamics.over_gold(*of)["gold_intervals"]["agr_unif"]
        gold = {f"agr_unif_gold_{what}": spread[what] for what in ("mean", "min", "max")}
        for which, sentences in chosen.items():
            about = {"variant": name, "which": which, "sentences": len(sentences)}
            about["mean_length"] = float(lengths[sentences].mean())
            found = values(measured.take(np.sort(sentences)))
            rows.append(about | found | (gold if which == "all" else dict.fromkeys(gold)))
    storage.save_csv(rows[0], ([*each.values()] for each in rows), HERE / "Furd_why.csv")
    print(HERE / "Furd_why.csv")


def read(outputs: Path, dataset: str) -> tuple[RunNames, Evidence, np.ndarray]:
    """The runs, the test sentences up to iteration ``LAST``, and the sentences' lengths."""
    dump = load_dump(outputs, dataset)
    for name in [*dump["settings"]["columns"], "metas"]:
        dump[name] = {key: value for key, value in dump.get(name, {}).items() if key[1] <= LAST}
    betas = collection.load_betas(TASK, outputs, dataset, 256, dump["vocab"])
    sentences = TASK.sentences_of(dump)
    lengths = sentences.take(sentences.rows_of("val")).source.lengths
    runs = RunNames.of(set(dump["alpha"]), dataset)
    return runs, TASK.evidence_of(dump, betas, "val", "test_acc"), lengths


def values(measured: dynamics.Measured) -> dict[str, Any]:
    found = dynamics.figures(measured)
    corrs = {f"corrs_{it}": found["alpha_corrs"][it] for it in (100, 500)}
    return {key: found[key] for key in LEVELS} | corrs


def prepare(archive: Path) -> None:
    """The data of both variants."""
    rare = FOLDER / "data/rare"
    rare.mkdir(exist_ok=True)
    for path in (FOLDER / "data").glob("Furd_[tf]*.json"):
        shutil.copy(path, rare)
    vocab = storage.load_json(rare / "Furd_train.json", "prepare Furd first")["vocab"]
    # words in w2v.pkl are kept however rare; the vectors are not used
    storage.save_bytes(pickle.dumps(dict.fromkeys(vocab, np.zeros(1))), rare / "w2v.pkl")
    with tempfile.TemporaryDirectory() as folder:
        for split in ("train", "test"):
            with Path(folder, f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["text", "label"])
                writer.writerows(phrases(archive, split))
        flags = ["--dataset", "Furd_phrases", "--source", folder]
        subprocess.run([sys.executable, FOLDER / "prepare_data.py", *flags], check=True)


def phrases(archive: Path, split: str) -> list[tuple[str, str]]:
    """The different phrases of the training trees, or the whole test sentences, with a label."""
    found: dict[tuple[str, str], None] = {}
    whole: list[tuple[str, str]] = []
    for _, file in archives.read_files([archive], [f"trees/{split}.txt"]):
        for tree in archives.text_lines(file):
            kept = [
                (" ".join(words), "negative" if label < 2 else "positive")
                for label, words in nodes(tree)
                if label != 2
            ]
            found |= dict.fromkeys(kept)
            if tree.strip() and tree[1] != "2":
                whole.append(kept[-1])
    return whole if split == "test" else [*found]


def nodes(tree: str) -> Iterator[tuple[int, list[str]]]:
    """The label and the words of every node, the root last."""
    open_nodes: list[tuple[int, list[str]]] = []
    for token in re.findall(r"\([0-4]|[^()\s]+|\)", tree):
        if token == ")":
            label, words = open_nodes.pop()
            if open_nodes:
                open_nodes[-1][1].extend(words)
            yield label, words
        elif token.startswith("("):
            open_nodes.append((int(token[1]), []))
        else:
            open_nodes[-1][1].append(plain_word(token))


if __name__ == "__main__":
    cli.run(main)
