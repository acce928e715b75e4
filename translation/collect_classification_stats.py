"""Alias of collect_translation_stats.py: the published README uses this name."""

import runpy
from pathlib import Path

if __name__ == "__main__":
    runpy.run_path(
        str(Path(__file__).with_name("collect_translation_stats.py")), run_name="__main__"
    )
