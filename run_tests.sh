#!/usr/bin/env bash
# Set up (once) and run the tests. Arguments go to pytest: ./run_tests.sh tests/test_agreement.py
set -eu
cd "$(dirname "$0")" && . scripts/setup.sh
set_up
exec "$PYTHON" -m pytest "$@"
