#!/usr/bin/env bash
# Run the fast tests with the lowest versions that pyproject.toml declares, in an environment of
# their own that is deleted afterwards.
#
#   scripts/test_lowest.sh                          other arguments go to pytest
#   TORCH=2.13.0 scripts/test_lowest.sh             another version of torch
#   PYTHON=python3.11 scripts/test_lowest.sh        the lowest Python (default: the first suitable)
#
# Without a GPU, PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu saves gigabytes.
set -eu
cd "$(dirname "$0")/.." && . scripts/setup.sh
case "${1-}" in -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit 0 ;; esac
python=$(suitable_python) || exit 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# every "name>=version" of the dependencies and of the extra for tests
sed -n '/^dependencies/,/^]/p; /^test = /p' pyproject.toml |
  grep -o '"[a-z0-9-]*[>=]=[0-9.]*"' | tr -d '"' | sed 's/>=/==/' >"$folder/lowest.txt"
[ -z "${TORCH-}" ] || sed -i "s/^torch==.*/torch==$TORCH/" "$folder/lowest.txt"
cat "$folder/lowest.txt"
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$folder/lowest.txt"
export PYTHONPATH=$PWD OMP_NUM_THREADS=1
"$folder/venv/bin/python" -m pytest -m "not slow and not real_data" \
  --ignore tests/test_style.py "$@" # ruff and mypy are not there
