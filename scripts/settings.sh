# Sourced by settings_runs.sh of both tasks; written for bash 3.2 and later.
#
#   run_settings SETTINGS DATASET [FLAG ...]    SETTINGS: a line "name flags" for each
#
# Each setting is trained and evaluated, then all are summarized in one table. SETTINGS_ONLY names
# some of them.

run_settings() {
  local settings=$1 dataset name flags folders=""
  shift
  case "${1:-}" in
    -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$(basename "$0")" && exit 0 ;;
    "" | -*) die "name a dataset first" ;;
  esac
  dataset=$1
  shift
  PYTHON=$(find_python)
  export PYTHON
  while read -r name flags <&3; do
    [ -n "$name" ] || continue
    case " ${SETTINGS_ONLY:-$name} " in
      *" $name "*) ;;
      *) continue ;;
    esac
    # shellcheck disable=SC2086
    ./train_runs.sh "$dataset" "$@" $flags || exit
    # shellcheck disable=SC2086
    ./dump_logs.sh "$dataset" --iterations saved --outputs_dir "outputs/settings/$name" $flags || exit
    folders="$folders outputs/settings/$name"
  done 3<<<"$settings"
  # shellcheck disable=SC2086
  "$PYTHON" settings.py --dataset "$dataset" $folders
}
