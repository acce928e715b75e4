# Sourced by settings_runs.sh of both tasks; written for bash 3.2 and later.
#
#   run_settings TASK DATASET [FLAG ...]    trains and evaluates the settings that
#                                           attention_dynamics/grid.py lists, then tabulates them;
#                                           --data_dir and --models_dir also go to the evaluation
#
# SETTINGS_ONLY names some of them.

run_settings() {
  local task=$1 dataset name flags settings place="" places="" folders=""
  shift
  read_arguments "$@"
  [ ${#NAMES[@]} = 1 ] || die "name one dataset first"
  dataset=${NAMES[0]}
  PYTHON=$(find_python)
  export PYTHON
  settings=$(grid "$task" settings) || exit 2
  for name in ${SETTINGS_ONLY:-}; do
    grep -q "^$name|" <<<"$settings" || die "SETTINGS_ONLY: unknown setting $name"
  done
  for flags in ${FLAGS[@]+"${FLAGS[@]}"}; do
    case "$place$flags" in
      --data_dir | --models_dir) place="$flags " ;;
      --data_dir[\ =]* | --models_dir[\ =]*) places="$places $place$flags" place="" ;;
    esac
  done
  while IFS="|" read -r name flags <&3; do
    case " ${SETTINGS_ONLY:-$name} " in
      *" $name "*) ;;
      *) continue ;;
    esac
    # shellcheck disable=SC2086
    ./train_runs.sh $DRY_RUN "$dataset" ${FLAGS[@]+"${FLAGS[@]}"} $flags || exit
    # shellcheck disable=SC2086
    ./dump_logs.sh $DRY_RUN "$dataset" --iterations saved \
      --outputs_dir "outputs/settings/$name" $places $flags || exit
    folders="$folders outputs/settings/$name"
  done 3<<<"$settings"
  if [ -n "$DRY_RUN" ]; then
    echo python settings.py --dataset "$dataset" $folders
  else
    # shellcheck disable=SC2086
    "$PYTHON" settings.py --dataset "$dataset" $folders
  fi
}
