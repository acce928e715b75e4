"""What several test files need: the task scripts as modules."""

import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def load_script(folder: str, name: str) -> ModuleType:
    """The script ``<folder>/<name>.py`` as a module, its ``main`` not called."""
    spec = importlib.util.spec_from_file_location(f"{folder}_{name}", ROOT / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call_script(folder: str, script: str, *flags, capsys) -> tuple[int, str, str]:
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


def assert_one_line(result: tuple[int, str, str], *words: str) -> None:
    """Bad input: status 2, one line that holds ``words``, no other output."""
    status, out, err = result
    assert status == 2, (out, err)
    assert out == ""
    assert len(err.splitlines()) == 1, err
    for word in words:
        assert word in err


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
