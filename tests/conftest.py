"""What several test files need: the task scripts as modules."""

import importlib
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
