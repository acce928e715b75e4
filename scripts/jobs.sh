# Sourced by the scripts that run many stages; written for bash 3.2 and later.
#
#   choose_datasets "A B C" "$@"   sets DATASETS from the arguments, all of A B C when none is
#                                  named; toy can be named too, and SMS where SNS can
#   job LABEL SCRIPT FLAGS …       adds a command
#   run_jobs                       runs them, JOBS at once, or prints them with --dry-run
#   in_task_folders "$@"           runs the script of the same name in each task's folder, or in the
#                                  one that the arguments name
#
# JOBS        how many to run at once (1). The cores are shared out evenly among them.
# PYTHON      the interpreter; by itself: the active environment's, else .venv's, else python3.

set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DATASETS=()
DRY_RUN=
COMMANDS=()

die() {
  echo "$(basename "$0"): $*" >&2
  exit 2
}

show_help() { # the comment that the script begins with
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
  exit 0
}

choose_datasets() {
  local known="$1 toy" all=$1 name
  case " $known " in *" SNS "*) known="$known SMS" ;; esac # one dataset, two names
  shift
  for name in "$@"; do
    case "$name" in
      --dry-run) DRY_RUN=1 ;;
      -h | --help) show_help ;;
      *)
        case " $known " in
          *" $name "*) DATASETS+=("$name") ;;
          *) die "unknown ${KIND:-dataset} $name (known: $known)" ;;
        esac
        ;;
    esac
  done
  [ ${#DATASETS[@]} -gt 0 ] || read -r -a DATASETS <<<"$all"
}

find_python() {
  if [ -n "${PYTHON:-}" ]; then
    echo "$PYTHON"
  elif [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
    echo python
  elif [ -x "$ROOT/.venv/bin/python" ]; then
    echo "$ROOT/.venv/bin/python"
  else
    echo python3
  fi
}

job() {
  COMMANDS+=("$*")
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
  local command
  if [ -n "$DRY_RUN" ]; then
    for command in "${COMMANDS[@]}"; do echo "python ${command#*|}"; done
    return
  fi
  JOBS=${JOBS:-1}
  case "$JOBS" in
    '' | *[!0-9]* | 0) die "JOBS=$JOBS is not a positive number" ;;
  esac
  PYTHON=$(find_python)
  FAILED=$(mktemp)
  trap 'rm -f "$FAILED"' EXIT
  if [ "$JOBS" -gt 1 ] && [ -z "${OMP_NUM_THREADS:-}" ]; then
    OMP_NUM_THREADS=$(($(getconf _NPROCESSORS_ONLN) / JOBS))
    [ "$OMP_NUM_THREADS" -ge 1 ] || OMP_NUM_THREADS=1
    export OMP_NUM_THREADS
  fi
  export JOBS PYTHON FAILED PYTHONUNBUFFERED=1
  export -f run_job
  printf '%s\0' "${COMMANDS[@]}" | xargs -0 -n 1 -P "$JOBS" bash -c 'run_job "$1"' _
  if [ -s "$FAILED" ]; then
    echo "$(basename "$0"): failed:" >&2
    sed 's/^/  python /' "$FAILED" >&2
    exit 1
  fi
}

has_dataset() { # FOLDER NAME: whether a list of checkpoints says that the task has the dataset
  local name names=$2
  case "$2" in SMS | SNS) names="SMS SNS" ;; esac
  for name in $names; do
    [ ! -e "$1/configs/$name.json" ] && [ ! -e "$1/configs/${name}_log.json" ] || return 0
  done
  return 1
}

in_task_folders() {
  local script folder folders="classification translation" arg failed=
  local options=() names=()
  script=$(basename "$0")
  for arg in "$@"; do
    case "$arg" in
      classification | translation) folders=$arg ;;
      --dry-run) options+=("$arg") ;;
      -h | --help) show_help ;;
      *)
        has_dataset classification "$arg" || has_dataset translation "$arg" ||
          die "unknown dataset $arg"
        names+=("$arg")
        ;;
    esac
  done
  for folder in $folders; do
    [ -x "$folder/$script" ] || continue
    local here=()
    for arg in ${names[@]+"${names[@]}"}; do
      ! has_dataset "$folder" "$arg" || here+=("$arg")
    done
    # datasets were named, and all are the other task's
    [ ${#names[@]} -eq 0 ] || [ ${#here[@]} -gt 0 ] || continue
    [ -z "${options[*]+x}" ] || echo "cd $folder"
    "$folder/$script" ${options[@]+"${options[@]}"} ${here[@]+"${here[@]}"} || failed="$failed $folder/$script"
    [ -z "${options[*]+x}" ] || echo "cd .."
  done
  [ -z "$failed" ] || {
    echo "$script: failed:$failed" >&2
    exit 1
  }
}
