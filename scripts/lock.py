"""Pin every package that requirements.txt brings, for all supported Pythons and platforms.

    python scripts/lock.py [--upgrade] [--upgrade-package NAME] [...]

Run it after a change to requirements.txt. Locked versions are kept where they still fit; the
arguments go to `uv pip compile` (--upgrade: take the newest versions). Needs the network.

reads: requirements.txt, pyproject.toml
writes: constraints.txt (versions; requirements.txt includes it), requirements.lock (the same with
    the hash of every file on PyPI, for scripts/setup.sh), docs/dependencies.md (licences)

Two files, because pip wants a hash for everything in an installation or for nothing in it:
`-e .` cannot have one, and torch's depends on the index that it comes from.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
UV = "uv==0.13.9"
# The CUDA build of torch requires exact versions of these, and other builds require others or none.
OF_TORCH = re.compile(r"(nvidia|cuda)-|triton$")
HEADER = "# Written by scripts/lock.py: do not edit.\n"


def direct() -> list[str]:
    """The requirements in requirements.txt, without its options."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith(("-", "#"))]


def resolve(python: str, first: str, arguments: list[str]) -> dict[str, list[str]]:
    """The lines of `uv pip compile` (requirement, then hashes) by package, without NVIDIA's."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "requirements.in")
        source.write_text("\n".join(direct()))
        target = Path(folder, "requirements.lock")  # what is there is preferred by uv
        target.write_text((ROOT / "constraints.txt").read_text())
        command = [python, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
        command += ["--universal", "--fork-strategy", "fewest", "--python-version", first]
        command += ["--generate-hashes", "--output-file", target, source, *arguments]
        subprocess.run(command, check=True)
        text = target.read_text().replace(" \\\n", "\n")
    found = [package.splitlines() for package in re.split(r"\n(?=\S)", text.strip())]
    packages = {lines[0].split("==")[0]: lines for lines in found}
    return {name: lines for name, lines in packages.items() if not OF_TORCH.match(name)}


def metadata(python: str, requirements: list[str]) -> list[dict[str, Any]]:
    """The metadata of the packages as PyPI gives them; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [python, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--no-deps", "--report", report, *requirements], check=True)
        return [item["metadata"] for item in json.loads(report.read_text())["install"]]


def licence(package: dict[str, Any]) -> str:
    """The SPDX expression, else the classifiers, else the first line of the free text."""
    if "license_expression" in package:
        return package["license_expression"]
    classifiers = [each.split(" :: ") for each in package.get("classifier", [])]
    names = [
        parts[-1] for parts in classifiers if parts[0] == "License" and parts[-1] != "OSI Approved"
    ]
    return ", ".join(names) or package.get("license", "").strip().split("\n")[0] or "not stated"


def table(packages: list[dict[str, Any]]) -> str:
    """A Markdown table of packages, licences and what needs them."""
    needed_by, optionally = defaultdict(set), defaultdict(set)
    for package in packages:
        for requirement in package.get("requires_dist", []):
            found = optionally if "extra ==" in requirement else needed_by
            found[normal(re.split(r"[^\w.-]", requirement)[0])].add(package["name"])
    lines = ["| package | version | licence | needed by |", "|---|---|---|---|"]
    pinned = [line.split("==")[0] for line in direct()]
    for package in sorted(packages, key=lambda each: normal(each["name"])):
        name = normal(package["name"])
        users = ["this repository"] * (name in pinned) + sorted(needed_by[name] or optionally[name])
        version = package["version"].split("+")[0]  # torch's says from which index it is
        cells = [package["name"], version, licence(package), ", ".join(users)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        return
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    first = project["requires-python"].removeprefix(">=")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = str(Path(folder, "bin", "python"))
        subprocess.run([python, "-m", "pip", "install", "-q", "-U", "pip", UV], check=True)
        packages = resolve(python, first, sys.argv[1:])
        described = metadata(python, [lines[0].split(";")[0] for lines in packages.values()])

    versions = "\n".join(lines[0] for lines in packages.values())
    (ROOT / "constraints.txt").write_text(f"{HEADER}{versions}\n")
    del packages["torch"]  # each index has its own files
    hashed = "\n".join(" \\\n".join(lines) for lines in packages.values())
    (ROOT / "requirements.lock").write_text(f"{HEADER}{hashed}\n")
    page = ROOT / "docs" / "dependencies.md"
    above = page.read_text().split("| package |")[0]
    page.write_text(above + table(described) + "\n")


if __name__ == "__main__":
    main()
