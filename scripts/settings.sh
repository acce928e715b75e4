# Sourced by settings_runs.sh of both tasks; written for bash 3.2 and later.
#
#   run_settings SETTINGS DATASET [FLAG ...]    SETTINGS: a line "name flags" for each
#
# Each setting is trained and evaluated, then all are summarized in one table. SETTINGS_ONLY names
# some of them.

run_settings() {
  local settings=$1 name flags folders="" dataset
  shift
  read_arguments "$@"
  [ ${#NAMES[@]} = 1 ] || die "name one dataset first"
  dataset=${NAMES[0]}
  PYTHON=$(find_python)
  export PYTHON
  while read -r name flags <&3; do
    [ -n "$name" ] || continue
    case " ${SETTINGS_ONLY:-$name} " in
      *" $name "*) ;;
      *) continue ;;
    esac
    # shellcheck disable=SC2086
    ./train_runs.sh $DRY_RUN "$dataset" ${FLAGS[@]+"${FLAGS[@]}"} $flags || exit
    # shellcheck disable=SC2086
    ./dump_logs.sh $DRY_RUN "$dataset" --iterations saved \
      --outputs_dir "outputs/settings/$name" $flags || exit
    folders="$folders outputs/settings/$name"
  done 3<<<"$settings"
  # shellcheck disable=SC2086
  if [ -n "$DRY_RUN" ]; then
    echo python settings.py --dataset "$dataset" $folders
  else
    "$PYTHON" settings.py --dataset "$dataset" $folders
  fi
}
