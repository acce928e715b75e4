"""Helpers of several test files: the stage scripts, files, and copies of the repository."""

import fnmatch
import importlib.util
import io
import json
import os
import pickle
import runpy
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RAW = ROOT.parent / "shared" / "data" / "raw"
# name, seed, uniform: a gold run, a comparison run and the uniform one, in mixed case
RUNS = [("Normal_A", 20, False), ("normal_b", 13, False), ("Uniform", 12, True)]

Result = tuple[int, str, str]
Content = bytes | str


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--long",
        type=float,
        default=0,
        metavar="MINUTES",
        help="let tests/robustness try for so long (default: a few tries of each kind)",
    )


def pytest_xdist_auto_num_workers() -> int:
    """``-n auto``: one more than there are cores, since many tests wait for other processes."""
    return (os.cpu_count() or 1) + 1


# Stage scripts


def load_script(folder: str, name: str) -> ModuleType:
    """The script ``<folder>/<name>.py`` as a module, its ``main`` not called."""
    spec = importlib.util.spec_from_file_location(f"{folder}_{name}", ROOT / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call_script(folder: str, script: str, *flags, capsys) -> Result:
    """Run a script in this process: exit status, output, error output."""
    old_argv = sys.argv
    sys.argv = [str(ROOT / folder / script), *map(str, flags)]
    status = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.argv = old_argv
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def command_of(folder: str, script: str, *flags) -> list[str]:
    """The command line that runs a script in a process of its own, from any directory."""
    return [sys.executable, str(ROOT / folder / script), *map(str, flags)]


def run_script(folder: str, script: str, *flags, cwd: Path) -> Result:
    """Run a script in a process of its own, by its path from ``cwd``, as a user does."""
    path = os.path.relpath(ROOT / folder / script, cwd)
    command = [sys.executable, path, *map(str, flags)]
    end = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
    return end.returncode, end.stdout, end.stderr


def output_of(folder: str, script: str, *flags, cwd: Path) -> str:
    """The output of a script that succeeds, in a process of its own."""
    status, out, err = run_script(folder, script, *flags, cwd=cwd)
    assert status == 0, err
    return out


def kill_when(path: Path, command: list[str]) -> None:
    """Start ``command``, and kill it without warning as soon as ``path`` exists."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def flags_of(settings: dict[str, Any]) -> list[str]:
    """``{"seed": 1}`` as ``["--seed", "1"]``."""
    return [str(part) for name, value in settings.items() for part in (f"--{name}", value)]


def assert_one_line(result: Result, *words: str) -> None:
    """Bad input: status 2, one line that holds ``words``, no other output."""
    status, out, err = result
    assert status == 2, (out, err)
    assert out == ""
    assert len(err.splitlines()) == 1, err
    for word in words:
        assert word in err


# Files


def load(path: Path) -> Any:
    """What is in a pickle."""
    return pickle.loads(path.read_bytes())


def write_json(path: Path, value: Any) -> Path:
    """Write ``value``; a string is written as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def write_list(path: Path, iterations: Iterable[int], runs=RUNS, grad=("Normal_A",)) -> None:
    """A list of checkpoints, with Delta for the runs ``grad``; None leaves that key out."""
    entries = [
        {"name": name, "iteration": iteration, "seed": seed, "uniform": uniform}
        | ({} if grad is None else {"calculate_grad": name in grad})
        for name, seed, uniform in runs
        for iteration in iterations
    ]
    write_json(path, entries)


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _bytes_of(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else content


def make_zip(path: Path, files: dict[str, Content]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, Content], extra: Iterable[tarfile.TarInfo] = ()) -> Path:
    """A tar of ``files`` and of ``extra`` members without content."""
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(_bytes_of(content))
            archive.addfile(info, io.BytesIO(_bytes_of(content)))
        for info in extra:
            archive.addfile(info)
    return path


def make_folder(path: Path, files: dict[str, Content]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(_bytes_of(content))
    return path


# The repository


def source_files(folder: str = ".") -> list[Path]:
    """The files below a folder of the repository, as paths from its root.

    What .gitignore names (data, models, outputs, caches) is left out, so that no test depends on
    what earlier runs left in the tree.
    """
    lines = (ROOT / ".gitignore").read_text().splitlines()
    ignored = [line.rstrip("/") for line in lines if line and not line.startswith("#")] + [".git"]

    def kept(names: list[str]) -> list[str]:
        return [n for n in names if not any(fnmatch.fnmatch(n, pattern) for pattern in ignored)]

    found = []
    for place, folders, names in os.walk(ROOT / folder):
        folders[:] = kept(folders)
        found += [(Path(place) / name).relative_to(ROOT) for name in kept(names)]
    return sorted(found)


def copy_source(target: Path, *folders: str, without: tuple[str, ...] = ()) -> None:
    """Copy the repository, or folders of it; ``without`` names folders that are left out."""
    for folder in folders or (".",):
        for path in source_files(folder):
            if not set(path.parts) & set(without):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, target / path)
