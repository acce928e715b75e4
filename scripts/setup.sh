# Sourced by quickstart.sh and run_tests.sh: makes .venv and installs requirements.txt, once.
# PYTHON names the interpreter for .venv (default: the first of CANDIDATES that is 3.11 to 3.14).

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CANDIDATES="python3 python3.13 python3.12 python3.11 python3.14 python"

is_supported() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

suitable_python() {
  local candidate candidates
  read -ra candidates <<<"$CANDIDATES"
  [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if is_supported "$candidate" && "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  cat >&2 <<END
No Python 3.11 to 3.14 with the venv module was found (tried: ${PYTHON:-$CANDIDATES}).
Install one (on Debian and Ubuntu: apt install python3 python3-venv) or name it: PYTHON=/path/to/python3.11 $0
END
  return 1
}

set_up() {
  local wanted python
  wanted=$(cd "$ROOT" && cat requirements.txt constraints.txt requirements.lock pyproject.toml | cksum)
  if ! is_supported "$ROOT/.venv/bin/python" ||
    [ "$(cat "$ROOT/.venv/installed" 2>/dev/null)" != "$wanted $ROOT" ]; then
    python=$(suitable_python) || exit 2
    echo "Setting up .venv with $("$python" --version); this is done once."
    if ! is_supported "$ROOT/.venv/bin/python" ||
      ! "$ROOT/.venv/bin/python" -c 'import pip' 2>/dev/null; then
      rm -rf "$ROOT/.venv" && "$python" -m venv "$ROOT/.venv" || exit 2
    fi
    # The second line brings torch and this package: pip can check the hashes of neither.
    (cd "$ROOT" && export PIP_DISABLE_PIP_VERSION_CHECK=1 &&
      .venv/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock &&
      .venv/bin/python -m pip install --quiet -r requirements.txt) || {
      echo "The installation failed; see above. Run the same command again to resume." >&2
      exit 2
    }
    echo "$wanted $ROOT" >"$ROOT/.venv/installed"
  fi
  export PYTHON="$ROOT/.venv/bin/python"
}
