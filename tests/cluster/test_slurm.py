"""The small toy grid by Snakemake on a real Slurm on this machine, with faults."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_grid import (
    change,
    environment,
    find_snakemake,
    make_small,
    planned,
    results,
    results_by_bash,
    run_snakemake,
    snakemake_command,
)

SCRIPT = Path(__file__).with_name("slurm.sh")
SLOW = Path(__file__).with_name("slow_python.py")
KILLED, LONG = (
    "train_classifier.py --dataset toy --seed 13",
    "train_classifier.py --dataset toy --seed 12",
)
# Seconds an update, of 40: the walltime of a minute ends before the second run does.
SECONDS = {KILLED: 0.3, LONG: 4}
LIMIT = 900  # seconds to wait for anything, on a busy machine
FAST = ("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2")


def missing() -> str:
    """Why the test cannot run; empty if it can."""
    if not find_snakemake():
        return "snakemake is not installed: docs/cluster.md says how"
    if not hasattr(os, "geteuid") or os.geteuid():
        return "slurmd needs root"
    programs = [name for name in ("munged", "slurmctld", "slurmd") if not shutil.which(name)]
    return f"{' '.join(programs)}: apt-get install slurm-wlm munge" if programs else ""


pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]


@pytest.fixture
def slurm(tmp_path):
    """The environment of a Slurm that runs until the test ends."""
    folder = tmp_path / "slurm"
    subprocess.run([SCRIPT, "start", folder], check=True)
    yield {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    subprocess.run([SCRIPT, "stop", folder], check=True)


def wait_for(what: Callable[[], object], process: subprocess.Popen | None = None) -> None:
    end = time.monotonic() + LIMIT
    while not what():
        assert process is None or process.poll() is None, process and process.returncode
        assert time.monotonic() < end
        time.sleep(0.1)


def test_faults_change_nothing(slurm, tmp_path):
    root = make_small(tmp_path / "root")
    faults = tmp_path / "faults"
    faults.mkdir()
    (faults / "slow.json").write_text(json.dumps(SECONDS))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {SLOW} {faults} "$@"\n')
    python.chmod(0o755)
    profile = root / "profiles" / "slurm" / "config.yaml"
    change(profile, "# slurm_partition: short", "slurm_partition: short")
    change(profile, "# slurm_partition: gpu", "slurm_partition: long")
    change(profile, "min(attempt * 480, 1440)", "attempt")
    change(profile, "copy: 8", "copy: 1")
    change(profile, "runtime: 1440", "runtime: 60")
    change(profile, "latency-wait: 60", "latency-wait: 10")
    variables = environment(root) | slurm
    log = open(tmp_path / "log", "w")  # noqa: SIM115

    def start(*arguments: str) -> subprocess.Popen:
        command = snakemake_command(*arguments, python=python)
        return subprocess.Popen(command, cwd=root, env=variables, stdout=log, stderr=log)

    def control(*words: str) -> None:
        subprocess.run(["scontrol", *words], env=variables, check=True)

    def queued() -> bytes:
        command = ["squeue", "--noheader"]
        return subprocess.run(command, env=variables, check=True, capture_output=True).stdout

    def saved(seed: str) -> bool:
        return any(root.glob(f"classification/models/toy/*{seed}*/resume.pt"))

    ours = ("--profile", "profiles/slurm", *FAST, "toy")
    first = start(*ours)
    try:
        # a job is killed
        wait_for(lambda: (faults / KILLED).exists() and saved("seed=13"), first)
        os.kill(int((faults / KILLED).read_text()), signal.SIGKILL)
        # a node is drained, and Snakemake killed, while jobs run
        wait_for(lambda: (faults / LONG).exists() and saved("seed=12"), first)
        control("update", "nodename=n2", "state=drain", "reason=test")
    finally:
        first.kill()
        first.wait()
    assert start("--unlock", "toy").wait() == 0
    second = start(*ours)
    try:
        time.sleep(20)
        control("update", "nodename=n2", "state=resume")
        assert second.wait(timeout=LIMIT) == 0, (tmp_path / "log").read_text()
    finally:
        second.kill()
    # Jobs of the first Snakemake may still run the same again: one that fails or begins removes
    # the marker of its job, never a result.
    wait_for(lambda: not queued())
    if planned(root, "toy"):
        assert start(*ours).wait(timeout=LIMIT) == 0, (tmp_path / "log").read_text()
    assert planned(root, "toy") == {}, run_snakemake(root, "-n", "toy").stdout
    assert results(root) == results_by_bash()
    said = (tmp_path / "slurm" / "slurmctld.log").read_text()
    assert "Time limit exhausted" in said
    assert "node n2 state set to DRAIN" in said  # DRAINED, or DRAINING if a job ran on it
    log.close()
    said = "".join(path.read_text() for path in (root / ".grid" / "logs").rglob("*.log"))
    assert "Killed" in said and "terminated: the same command resumes" in said
