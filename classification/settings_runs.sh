#!/usr/bin/env bash
# Other encoders, and interventions in attention: what they change, in one table (docs/settings.md).
#
#   ./settings_runs.sh [--dry-run] DATASET [FLAG ...]     flags go to each training: --steps 600 --save_at log:25
#   SETTINGS_ONLY="bilstm gru" ./settings_runs.sh Furd
#   JOBS=2 ./settings_runs.sh Furd            two runs at once
#
# A run that is finished is skipped, an interrupted one resumes.
cd "$(dirname "$0")" && . ../scripts/jobs.sh && . ../scripts/settings.sh
run_settings classification "$@"
