"""Dependencies and their pins, the files around the code, and the commands that set it up."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT, source_files
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def declared(*extras: str) -> list[Requirement]:
    """The dependencies and those of the extras; an extra that names another has its own too."""
    texts = PROJECT["dependencies"] + [text for extra in extras for text in EXTRAS[extra]]
    return [Requirement(text) for text in texts if not text.startswith(PROJECT["name"])]


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    requirements = [line for line in lines if not line.startswith("#")]
    assert requirements[-2:] == ["-c constraints.txt", "-e ."]
    return dict(line.split("==") for line in requirements[:-2])


def locked(name: str) -> dict[str, Requirement]:
    """The requirements in ``constraints.txt`` or ``requirements.lock``, by package."""
    text = (ROOT / name).read_text().replace(" \\\n    --hash", " #")
    lines = [line.split(" #")[0] for line in text.splitlines() if not line.startswith("#")]
    found = {canonicalize_name(each.name): each for each in map(Requirement, lines)}
    assert len(found) == len(lines)
    return found


def version_of(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


def test_pins_agree_with_the_declared_dependencies():
    pinned = pins()
    requirements = {canonicalize_name(each.name): each for each in declared("test", "dev")}
    requirements.pop("pre-commit")  # no test needs it
    assert pinned.keys() == requirements.keys()
    for name, requirement in requirements.items():
        assert requirement.specifier.contains(pinned[name]), (name, pinned[name])


def test_the_lock_agrees_with_the_pins():
    constraints, lock = locked("constraints.txt"), locked("requirements.lock")
    for name, version in pins().items():
        assert version_of(constraints[name]) == version, f"{name}: run python scripts/lock.py"
    assert constraints == lock | {"torch": constraints["torch"]}
    assert "torch" not in lock  # its hash depends on the index


def test_the_lock_has_a_hash_for_each_version():
    for package in (ROOT / "requirements.lock").read_text().replace("\\\n", "").splitlines()[1:]:
        hashes = package.split("--hash=")[1:]
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64} *", each) for each in hashes)


def test_what_is_installed_for_this_repository_is_in_the_lock():
    """All that the pinned packages need on this machine; their versions, too, if the environment
    is one of scripts/setup.sh. Of other machines uv, which makes the lock, sees to it.
    """
    is_locked = (Path(sys.prefix) / "installed").exists()
    constraints = locked("constraints.txt")
    of_torch = re.compile(r"(nvidia|cuda)-|triton$")  # torch requires exact versions of these
    seen, waiting = set(), [Requirement(name) for name in pins()]
    while waiting:
        each = waiting.pop()
        name = canonicalize_name(each.name)
        if (name, *each.extras) in seen or of_torch.match(name):
            continue
        seen.add((name, *each.extras))
        assert name in constraints
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if is_locked:
            assert distribution.version.split("+")[0] == version_of(constraints[name]), name
        waiting += [
            needed
            for needed in map(Requirement, distribution.requires or [])
            if not needed.marker
            or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *each.extras))
        ]
    assert len({name for name, *_ in seen}) > len(pins())


def test_licences_are_of_the_locked_versions():
    text = (ROOT / "docs" / "dependencies.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    of_page = {canonicalize_name(name): [*cells] for name, *cells in rows[1:]}
    constraints = locked("constraints.txt")
    assert of_page.keys() == constraints.keys()
    for name, (version, licence, *_) in of_page.items():
        assert version == version_of(constraints[name]) and licence != "not stated", name


def test_the_lowest_versions_are_what_is_declared(tmp_path):
    """The script, with a Python that prints what it is asked to install."""
    fake = tmp_path / "python"
    fake.write_text(
        f"""#!/bin/sh
case "$2" in
venv) mkdir -p "$3/bin" && cp {fake} "$3/bin/python" ;;
pip) cat "$7" ;;
pytest) ;;
esac
"""
    )
    fake.chmod(0o755)
    end = subprocess.run(
        ["bash", ROOT / "scripts" / "test_lowest.sh"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(fake)},
        capture_output=True,
        text=True,
        check=True,
    )
    lowest = dict(line.split("==") for line in end.stdout.splitlines())
    requirements = {each.name: each.specifier for each in declared("test")}
    assert lowest == {name: str(s).lstrip(">=") for name, s in requirements.items()}


def test_the_development_extra_has_the_one_for_tests():
    assert f"{PROJECT['name']}[test]" in EXTRAS["dev"]


def test_the_engine_of_the_cluster_is_the_same_everywhere():
    """It is pinned, as no other dependency in pyproject.toml, and no laptop installs it."""
    command = f"pip install {' '.join(EXTRAS['cluster'])}\n"
    assert (ROOT / "docs" / "cluster.md").read_text().count(command) == 2
    assert not {text.partition("==")[0] for text in EXTRAS["cluster"]} & pins().keys()


def imported(path: Path) -> set[str]:
    """The top-level names of the modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("tests", [False, True], ids=["product", "tests"])
def test_what_is_imported_is_declared(tests):
    """Of tests/ and benchmarks/ with the extra for tests; of all else without it."""
    names = {canonicalize_name(each.name) for each in declared(*["test"] * tests)}
    provided_by = metadata.packages_distributions()
    files = [path for path in source_files() if path.suffix == ".py"]
    files = [path for path in files if (path.parts[0] == "tests") == tests]
    assert files
    for path in files:
        for module in imported(ROOT / path) - set(sys.stdlib_module_names):
            distributions = {canonicalize_name(name) for name in provided_by.get(module, [])}
            known = names | {canonicalize_name(PROJECT["name"]), "packaging"}  # pytest needs it
            assert not distributions or distributions & known, (path, module)


def test_supported_versions_of_python_are_the_same_everywhere():
    first, last = PYTHONS[0], PYTHONS[-1]
    assert PROJECT["requires-python"] == f">={first}"
    setup = (ROOT / "scripts" / "setup.sh").read_text()
    assert (
        f"({first.replace('.', ', ')}) <= sys.version_info[:2] <= ({last.replace('.', ', ')})"
        in setup
    )
    assert f"No Python {first} to {last} " in setup
    assert f"Python {first} to {last}" in (ROOT / "README.md").read_text()
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    tested = re.search(r"python: \[(.*)\]", workflow)[1].replace('"', "").split(", ")
    assert tested == PYTHONS
    assert "- run: .ci/run" in workflow


def test_citation():
    """What the Citation File Format 1.2.0 requires, for the software and for the paper."""
    text = (ROOT / "CITATION.cff").read_text()
    assert "\t" not in text
    assert all(re.match(r" *(- )?[a-z-]+:( |$)", line) for line in text.splitlines())
    keys = dict(re.findall(r"^([a-z-]+): *(.*)$", text, re.MULTILINE))
    assert keys["cff-version"] == "1.2.0" and keys["type"] == "software"
    assert {"title", "message", "authors", "preferred-citation"} <= keys.keys()
    assert keys["version"] == PROJECT["version"] and keys["license"] == PROJECT["license"]["text"]
    paper = text[text.index("preferred-citation:") :]
    assert re.findall(r"family-names: (\w+)", paper) == ["Snell", "Zhong", "Klein", "Steinhardt"]
    for line in ("type: article", "year: 2021", 'title: "Approximating How Single Head Attention'):
        assert f"\n  {line}" in paper
    assert "2103.07601" in paper


def test_help_of_the_tests():
    end = subprocess.run(
        ["bash", ROOT / "run_tests.sh", "--help"], capture_output=True, text=True, check=True
    )
    assert "./run_tests.sh --fast" in end.stdout and "#" not in end.stdout


def test_arguments_go_to_pytest(tmp_path):
    """A copy of the script, with a set-up that does nothing and a Python that prints."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "setup.sh").write_text('set_up() { PYTHON="printf %s|"; }\n')
    script = tmp_path / "run_tests.sh"
    text = (ROOT / "run_tests.sh").read_text()
    script.write_text(text.replace('exec "$PYTHON"', "printf '%s|'"))
    for arguments, expected in (
        ([], "-m|pytest|"),
        (["tests/a b.py", "-x"], "-m|pytest|tests/a b.py|-x|"),
        (["-x", "--fast"], "-m|pytest|-x|-m|not slow and not real_data|"),
    ):
        end = subprocess.run(
            ["bash", script, *arguments], capture_output=True, text=True, check=True
        )
        assert end.stdout == expected


def test_setup_takes_a_supported_python_only(tmp_path):
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\nexec {sys.executable} -c "$(cat)" "$@"\n')
    for version, status in (("(3, 10)", 1), ("(3, 11)", 0), ("(3, 14)", 0), ("(3, 15)", 1)):
        fake.write_text(
            f"#!{sys.executable}\nimport sys\nsys.version_info = {version}\nexec(sys.argv[2])\n"
        )
        fake.chmod(0o755)
        end = subprocess.run(
            ["bash", "-c", ". scripts/setup.sh; suitable_python"],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "PYTHON": str(fake)},
            capture_output=True,
            text=True,
        )
        assert end.returncode == status
        assert end.stdout == ("" if status else f"{fake}\n")
        assert ("No Python 3.11 to 3.14" in end.stderr) == bool(status)
