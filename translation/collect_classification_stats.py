"""The name by which the published README calls collect_translation_stats.py, in this folder too."""

import runpy
from pathlib import Path

if __name__ == "__main__":
    runpy.run_path(
        str(Path(__file__).with_name("collect_translation_stats.py")), run_name="__main__"
    )
