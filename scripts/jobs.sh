# Sourced by the scripts that run many stages; written for bash 3.2 and later.
#
#   run_jobs TASK STAGE "$@"    runs the jobs that attention_dynamics/grid.py lists for the arguments,
#                               JOBS at once, or prints them with --dry-run and what
#                               attention_dynamics/estimates.py expects of each; flags that follow
#                               the names of datasets are added to each command
#   in_task_folders "$@"        runs the script of the same name in each task's folder, or in the
#                               folders of the datasets that the arguments name
#
# JOBS        how many to run at once (default: 1). The cores are shared out evenly among them.
# PYTHON      the interpreter (default: the active environment's, else .venv's, else python3).

set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DRY_RUN=
NAMES=()
FLAGS=()

die() {
  echo "$(basename "$0"): $*" >&2
  exit 2
}

read_arguments() {
  local argument
  for argument in "$@"; do
    case "$argument" in
      --dry-run) DRY_RUN=--dry-run ;;
      -h | --help) # the comment that the script begins with
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$(basename "$0")"
        exit 0
        ;;
      -*) FLAGS+=("$argument") ;;
      *) if [ ${#FLAGS[@]} -gt 0 ]; then FLAGS+=("$argument"); else NAMES+=("$argument"); fi ;;
    esac
  done
}

find_python() {
  if [ -n "${PYTHON:-}" ]; then
    echo "$PYTHON"
  elif [ -n "${VIRTUAL_ENV:-}" ] || { [ -n "${CONDA_PREFIX:-}" ] && [ "${CONDA_DEFAULT_ENV:-}" != base ]; }; then
    echo python
  elif [ -x "$ROOT/.venv/bin/python" ]; then
    echo "$ROOT/.venv/bin/python"
  else
    echo python3
  fi
}

grid() {
  PYTHONPATH=$ROOT "$PYTHON" -m attention_dynamics.grid "$@" ${NAMES[@]+"${NAMES[@]}"} ${FLAGS[@]+"${FLAGS[@]}"}
}

run_job() { # one word: LABEL|SCRIPT FLAGS …
  local label=${1%%|*} command=${1#*|}
  if [ "$JOBS" -gt 1 ]; then
    # shellcheck disable=SC2086
    { "$PYTHON" $command 2>&1 || echo "$command" >>"$FAILED"; } |
      while IFS= read -r line; do printf '%s | %s\n' "$label" "$line"; done
  else
    echo "+ python $command"
    # shellcheck disable=SC2086
    "$PYTHON" $command || echo "$command" >>"$FAILED"
  fi
}

run_jobs() {
  local task=$1 stage=$2 jobs stopped=""
  shift 2
  read_arguments "$@"
  JOBS=${JOBS:-1}
  case "$JOBS" in
    *[!0-9]* | 0) die "JOBS=$JOBS is not a positive number" ;;
  esac
  PYTHON=$(find_python)
  jobs=$(grid "$task" "$stage") || exit 2
  if [ -n "$DRY_RUN" ]; then
    PYTHONPATH=$ROOT "$PYTHON" -m attention_dynamics.estimates "$task" <<<"$jobs"
    return
  fi
  FAILED=$(mktemp 2>/dev/null) || die "no temporary file can be made in ${TMPDIR:-/tmp}"
  trap 'rm -f "$FAILED"' EXIT
  if [ "$JOBS" -gt 1 ] && [ -z "${OMP_NUM_THREADS:-}" ]; then
    OMP_NUM_THREADS=$(($(getconf _NPROCESSORS_ONLN) / JOBS))
    [ "$OMP_NUM_THREADS" -ge 1 ] || OMP_NUM_THREADS=1
    export OMP_NUM_THREADS
  fi
  export JOBS PYTHON FAILED PYTHONUNBUFFERED=1
  export -f run_job
  tr '\n' '\0' <<<"$jobs" | xargs -0 -n 1 -P "$JOBS" bash -c 'run_job "$1"; exit 0' _ ||
    stopped=" stopped before all jobs had run"
  if [ -s "$FAILED" ] || [ -n "$stopped" ]; then
    echo "$(basename "$0"): failed:$stopped" >&2
    sed 's/^/  python /' "$FAILED" >&2
    exit 1
  fi
}

in_task_folders() {
  local script folders folder names failed=
  script=$(basename "$0")
  read_arguments "$@"
  PYTHON=$(find_python)
  folders=$(grid tasks "${script%.sh}") || exit 2
  while read -r folder names <&3; do
    [ -z "$DRY_RUN" ] || echo "cd $folder"
    # shellcheck disable=SC2086
    "$folder/$script" $DRY_RUN $names ${FLAGS[@]+"${FLAGS[@]}"} || failed="$failed $folder/$script"
    [ -z "$DRY_RUN" ] || echo "cd .."
  done 3<<<"$folders"
  [ -z "$failed" ] || {
    echo "$script: failed:$failed" >&2
    exit 1
  }
}
