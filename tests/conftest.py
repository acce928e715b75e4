"""What several test files need: the task scripts as modules."""

import importlib
import runpy
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
_loaded: dict[str, dict[str, ModuleType]] = {}


def load_script(folder: str, name: str) -> ModuleType:
    """The module ``<folder>/<name>.py``, as the scripts of that folder import it.

    The task folders have modules of the same names (``data``, ``model``, ...). Each is loaded
    once, under its plain name, and then put away, so that another folder's can be loaded too.
    """
    here = {path.stem for path in (ROOT / folder).glob("*.py")}
    others = {known: sys.modules.pop(known) for known in here if known in sys.modules}
    sys.modules.update(_loaded.get(folder, {}))
    sys.path.insert(0, str(ROOT / folder))
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / folder))
        _loaded[folder] = {known: sys.modules.pop(known) for known in here if known in sys.modules}
        sys.modules.update(others)


def call_script(folder: str, script: str, *flags, capsys) -> tuple[int, str, str]:
    """Run a script in this process: exit status, output, error output."""
    here = {path.stem for path in (ROOT / folder).glob("*.py")}
    for name in here:  # the other task has modules of these names too
        sys.modules.pop(name, None)
    old_argv, old_path = sys.argv, list(sys.path)
    sys.argv = [str(ROOT / folder / script), *map(str, flags)]
    sys.path.insert(0, str(ROOT / folder))
    status = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.argv, sys.path[:] = old_argv, old_path
        for name in here:
            sys.modules.pop(name, None)
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
