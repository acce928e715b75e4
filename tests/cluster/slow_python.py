"""A Python whose first training of some runs is slow, so that faults can be done to it.

    slow_python.py FOLDER STAGE [FLAG ...]

``FOLDER/slow.json`` is {words of a command: seconds an update}. The first process whose command
has the words writes its number into ``FOLDER/<words>``, and is slow.
"""

import json
import os
import runpy
import sys
import time
from pathlib import Path

import torch


def main(folder: Path, *command: str) -> None:
    for words, seconds in json.loads((folder / "slow.json").read_text()).items():
        if words in " ".join(command):
            try:
                with open(folder / words, "x") as file:
                    file.write(str(os.getpid()))
            except FileExistsError:
                continue
            slow_down(seconds)
    sys.argv = [*command]
    sys.path[0] = str(Path(command[0]).resolve().parent)
    runpy.run_path(command[0], run_name="__main__")


def slow_down(seconds: float) -> None:
    backward = torch.Tensor.backward

    def slow(tensor, *args, **options):
        time.sleep(seconds)
        return backward(tensor, *args, **options)

    torch.Tensor.backward = slow


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
