"""The expected time and disk of jobs: what ``--dry-run`` of the bash scripts adds to commands.

    python -m attention_dynamics.grid classification train_runs SNS |
        python -m attention_dynamics.estimates classification

It prints each command with a comment, and a comment with the sums. Times come from the runs that
this machine has trained (``run.json``), of the same dataset and model sizes; else from
:data:`MEASURED`; else from runs of another dataset, which is said; else they are unknown. What is
finished counts as nothing. Like the grid, this imports the standard library only.
"""

import json
import math
import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attention_dynamics.corpus import INTERVENTIONS

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Measured:
    """Seconds on one core of a machine with two, and sizes in bytes, at the published settings.

    Attributes
    ----------
    step, checkpoint, epoch : of an update, an evaluated checkpoint, an epoch of the word baseline
    checkpoint_bytes : size of a checkpoint file
    pairs : training pairs (translation)
    """

    step: float | None = None
    checkpoint: float | None = None
    epoch: float | None = None
    checkpoint_bytes: int | None = None
    pairs: int | None = None


TRANSLATOR = 4 * 8_180_544  # parameters with 8,000 pieces
# From results/*_costs.csv.
MEASURED = {
    "IMDB": Measured(step=0.70, checkpoint=52, epoch=5.8, checkpoint_bytes=40_787_000),
    "Furd": Measured(step=0.051, checkpoint=1.6, epoch=0.17, checkpoint_bytes=10_891_958),
    "SNS": Measured(step=0.048, checkpoint=0.9, epoch=0.08),
    "Newsgroups": Measured(step=0.37, checkpoint=5.2, epoch=0.10),
    "multi30k": Measured(
        step=0.097, checkpoint=45, epoch=6.9, checkpoint_bytes=TRANSLATOR, pairs=29_000
    ),
    "iwslt14": Measured(checkpoint_bytes=TRANSLATOR, pairs=160_239),
    **{
        f"news_commentary_v14_{languages}": Measured(checkpoint_bytes=TRANSLATOR)
        for languages in ("en_nl", "en_pt", "it_pt")
    },
}
MEASURED["SMS"] = MEASURED["SNS"]
COPIER_STEP = 0.26  # seconds of a core an update, at the published sizes (README.md)
RESUME = 3  # resume.pt holds the weights and Adam's two means: that many checkpoints


@dataclass(frozen=True)
class Cost:
    """What a job will take: None where it is unknown; ``how`` says what that rests on."""

    seconds: float | None = None
    bytes: float | None = None
    how: str = ""


def estimate(task: str, command: str) -> Cost:
    """The cost of ``script flags``, as the grid writes it."""
    try:
        return _estimate(task, command)
    except ValueError:
        return Cost(how="the value of a flag cannot be read")


def _estimate(task: str, command: str) -> Cost:
    script, *words = shlex.split(command)
    flags = {
        word: "" if following.startswith("--") else following
        for word, following in zip(words, [*words[1:], "--"])
        if word.startswith("--")
    }
    if script.startswith("train_"):
        return training(task, flags)
    if script == "eval_dump.py":
        return evaluation(task, flags)
    if script in ("embedding_beta.py", "logistic_beta.py"):
        return word_baseline(task, script, flags)
    if script == "seq2seq.py" and "--hidden_dim" not in flags:
        cores = os.cpu_count() or 1
        models, updates = int(flags.get("--seeds", 20)), int(flags.get("--steps", 200))
        return Cost(math.ceil(models / cores) * updates * COPIER_STEP, how=f"on {cores} cores")
    return Cost()


def folder(task: str, flags: dict[str, str], name: str) -> Path:
    """``models``, ``data`` or ``outputs``: beside the stages unless a flag names it."""
    return Path(flags.get(f"--{name}_dir", ROOT / task / name))


def read_json(path: Path) -> dict[str, Any]:
    """What is in a file; nothing if it cannot be read: an estimate does without."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def config_of(task: str, flags: dict[str, str]) -> dict[str, Any]:
    """The model's sizes, and perhaps its encoder; nothing if the file cannot be read."""
    return read_json(Path(flags.get("--config", ROOT / task / "configs" / "model.json")))


def runs_of(models: Path, config: dict[str, Any]) -> list[tuple[Path, dict[str, Any]]]:
    """The folders of a dataset's runs with these sizes and encoder, and their ``run.json``."""
    default = {"encoder": "bilstm"}
    wanted = default | config
    found = [(path.parent, read_json(path)) for path in sorted(models.glob("*/run.json"))]
    return [
        (path, run)
        for path, run in found
        if {"settings", "step", "seconds", "steps"} <= run.keys()
        and wanted.items() <= (default | run["settings"]).items()
    ]


def is_asked_for(settings: dict[str, Any], flags: dict[str, str]) -> bool:
    """Whether a run has the interventions of the flags; one with uniform attention has none."""
    asked = {key: float(flags[f"--{key}"] or 1) for key in INTERVENTIONS if f"--{key}" in flags}
    return bool(settings.get("uniform")) or all(
        settings.get(key) == asked.get(key) for key in INTERVENTIONS
    )


def rate_of(runs: Iterable[tuple[Path, dict[str, Any]]]) -> float | None:
    """Seconds an update, over all updates of ``runs``."""
    steps = sum(run["step"] for _, run in runs)
    return sum(run["seconds"] for _, run in runs) / steps if steps else None


def training(task: str, flags: dict[str, str]) -> Cost:
    dataset = flags["--dataset"]
    measured = MEASURED.get(dataset, Measured())
    config = config_of(task, flags)
    b_size = config.get("b_size", config.get("batch_size"))
    if not b_size:
        return Cost(how="the config cannot be read")
    models = folder(task, flags, "models")
    runs = runs_of(models / dataset, config)
    if "--config" in flags:  # of other sizes
        measured = Measured(pairs=measured.pairs)
    same = {"seed": int(flags["--seed"]), "uniform": "--uniform" in flags}
    own = next(
        (
            (path, run)
            for path, run in runs
            if same.items() <= run["settings"].items() and is_asked_for(run["settings"], flags)
        ),
        None,
    )

    steps: int | None = int(flags.get("--steps", 2000))
    if task == "translation" and "--steps" not in flags:
        pairs = count_pairs(folder(task, flags, "data"), dataset) or measured.pairs
        epochs = int(flags.get("--epochs", 20))
        steps = pairs and math.ceil(epochs * pairs / b_size)
    if steps is None:
        return Cost(how="the data are not prepared")
    done = own[1]["step"] if own else 0
    if done >= steps:
        return Cost(0, 0, "finished")

    others = [
        (path, run)
        for other in sorted(models.glob("*"))
        for path, run in runs_of(other, config)
        if other.name != dataset
    ]
    rate, how = rate_of(runs), "measured here"
    if rate is None:
        rate, how = measured.step, "RESULTS.md"
    if rate is None:
        names = dict.fromkeys(path.parent.name for path, _ in others)
        rate, how = rate_of(others), f"the rate of {', '.join(names)}"
    how = "" if rate is None else f"{steps - done:,} steps of {rate:.2g} s, {how}"

    files = [file for path, _ in runs for file in path.glob("model*")]
    size = files[0].stat().st_size if files else measured.checkpoint_bytes
    saves = {int(step) for step in flags.get("--custom_saves", "").split(",") if step}
    saves |= {*range(0, steps, int(flags.get("--save_every", 250)))}
    if n := int(flags.get("--save_at", "log:0").removeprefix("log:")):
        saves |= {0, *(round((steps - 1) ** (i / max(1, n - 1))) for i in range(n))}
    if "--attention_until" in flags:
        saves.add(int(flags["--attention_until"]))
    count = len(saves - {steps - 1}) + 1  # the end; in translation the best epoch's too
    count += (task == "translation") + (0 if "--drop_resume" in flags else RESUME)
    here = sum(file.stat().st_size for file in own[0].iterdir()) if own else 0
    space = None if size is None else max(0, count * size - here)
    return Cost(None if rate is None else rate * (steps - done), space, how)


def count_pairs(data: Path, dataset: str) -> int | None:
    """The lines of a translation dataset's training text; a file that is JSON has one line."""
    counts = []
    for name in {dataset, dataset.replace("_", "-")}:
        for path in (data / name).glob("train.*"):
            with open(path, "rb") as file:
                counts.append(sum(1 for _ in file))
    return max(counts, default=None)


def evaluation(task: str, flags: dict[str, str]) -> Cost:
    """Of all saved checkpoints of these runs; a dump that is newer than they are is finished."""
    dataset, outputs = flags["--dataset"], folder(task, flags, "outputs")
    dump = outputs / f"{dataset}_logs.pkl"
    models = folder(task, flags, "models") / dataset
    runs = runs_of(models, config_of(task, flags))
    asked = {path for path, run in runs if is_asked_for(run["settings"], flags)}
    saved = [
        checkpoint.stat().st_mtime
        for path in models.glob("*")
        if path in asked or not (path / "run.json").exists()  # the authors' runs have no record
        for checkpoint in path.glob("model[0-9]*")
    ]
    if dump.exists():
        if dump.stat().st_mtime > max(saved, default=0):
            return Cost(0, 0, "finished")
        return Cost(how="some checkpoints are evaluated already")
    measured = MEASURED.get(dataset, Measured()).checkpoint
    if measured is None or "--config" in flags or not saved:
        return Cost(how="" if saved else "no checkpoint is there yet")
    left = len(saved) - len(list(outputs.glob(f"{dataset}_logs.parts/*.pkl")))
    return Cost(left * measured, how=f"{left} at {measured:g} s a checkpoint, RESULTS.md")


def word_baseline(task: str, script: str, flags: dict[str, str]) -> Cost:
    dataset, outputs = flags["--dataset"], folder(task, flags, "outputs")
    name = "embedding*.pkl" if script == "embedding_beta.py" else "_logistic_beta.pkl"
    if any(outputs.glob(f"{dataset}{name}")):  # an unfinished one ends in .resume.pt
        return Cost(0, 0, "finished")
    epoch = MEASURED.get(dataset, Measured()).epoch
    if epoch is None or script != "embedding_beta.py":
        return Cost()
    epochs = int(flags.get("--epochs", 30))
    return Cost(epochs * epoch, how=f"{epochs} epochs of {epoch:g} s, RESULTS.md")


def duration(seconds: float) -> str:
    """``50 s``, ``12 min`` or ``3 h 20 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """``340 MB`` or ``1.2 GB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{math.ceil(count / 1e6)} MB"


def described(cost: Cost) -> str:
    if cost.how == "finished":
        return cost.how
    time = "time unknown" if cost.seconds is None else duration(cost.seconds)
    space = "disk unknown" if cost.bytes is None else size(cost.bytes)
    return f"{time}, {space}" + (f" ({cost.how})" if cost.how else "")


def total(costs: list[Cost], jobs: int) -> str:
    """The sums of what is known, and of how many jobs it is not."""
    seconds = [cost.seconds for cost in costs if cost.seconds is not None]
    space = [cost.bytes for cost in costs if cost.bytes is not None]
    time = duration(sum(seconds)) if seconds else "time unknown"
    if jobs > 1 and seconds:
        # no shorter than the longest, and one core each
        parallel = max(sum(seconds) / min(jobs, len(costs)), max(seconds))
        time = f"{duration(parallel)} with JOBS={jobs} ({time} in all)"
    text = f"together: {time}, " + (size(sum(space)) if space else "disk unknown")
    for what, known in (("time", seconds), ("disk", space)):
        if 0 < len(known) < len(costs):
            text += f"; {what} unknown for {len(costs) - len(known)} of {len(costs)}, not counted"
    return text


def main(task: str) -> None:
    commands = [line.partition("|")[2].rstrip("\n") for line in sys.stdin]
    costs = [estimate(task, command) for command in commands]
    width = min(100, max(map(len, commands), default=0))
    for command, cost in zip(commands, costs):
        print(f"python {command:<{width}}  # {described(cost)}")
    if len(costs) > 1:
        print(f"# {total(costs, int(os.environ.get('JOBS') or 1))}")


if __name__ == "__main__":
    main(sys.argv[1])
