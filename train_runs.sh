#!/usr/bin/env bash
# Every published training run of both tasks.
#
#   ./train_runs.sh [classification|translation] [--dry-run] [DATASET ...]
#   JOBS=2 ./train_runs.sh classification SNS Furd
#
# A run that is finished is skipped, an interrupted one resumes.
cd "$(dirname "$0")" && . scripts/jobs.sh
in_task_folders "$@"
