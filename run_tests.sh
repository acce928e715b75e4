#!/usr/bin/env bash
# Set up (once) and run the tests.
#
#   ./run_tests.sh                            all of them
#   ./run_tests.sh --fast                     those that give a quick answer, in under a minute
#   ./run_tests.sh tests/test_agreement.py    other arguments go to pytest
#
# --fast leaves out the tests that are marked slow or real_data. It combines with other arguments:
# ./run_tests.sh --fast -x tests/test_runs.py
set -eu
cd "$(dirname "$0")" && . scripts/setup.sh
arguments=()
for argument in "$@"; do
  case "$argument" in
    --fast) arguments+=(-m "not slow and not real_data") ;;
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) arguments+=("$argument") ;;
  esac
done
set_up
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # for such small tensors threads only cost
exec "$PYTHON" -m pytest ${arguments[@]+"${arguments[@]}"}
