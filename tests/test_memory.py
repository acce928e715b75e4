"""Memory that was freed is used again, without a page fault for each page of it."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

from attention_dynamics.kernels.memory import keep_freed_memory

pytestmark = pytest.mark.slow  # processes of their own

FAULTS = """
import resource, sys
sys.argv = ["test"]
import torch
from attention_dynamics import cli

def main():
    {prepare}
    def faults():
        torch.ones(2**24)  # 64 MiB
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(40):  # until there is room beside the small things that lie between
        before = faults()
    for _ in range(9):
        after = faults()
    print(after - before)

cli.run(main)
"""


def faults_of_nine_tensors(prepare: str) -> int:
    # the variables by which a user could have set the same
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(prepare=prepare)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=env,
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is set, on Linux alone")
def test_what_works_on_a_device_keeps_freed_memory():
    by_default = faults_of_nine_tensors("")
    assert faults_of_nine_tensors("cli.find_device('cpu')") < by_default / 4


def test_without_glibc_nothing_is_set(monkeypatch):
    asked = []
    monkeypatch.setattr("ctypes.CDLL", asked.append)  # as musl: what it gives has no mallopt
    for platform in ("darwin", "linux"):
        monkeypatch.setattr(sys, "platform", platform)
        keep_freed_memory()
    assert asked == [None]  # on Linux
