#!/usr/bin/env bash
# Every published training run: seven seeds of 4,000 steps per dataset.
#
#   ./train_runs.sh [--dry-run] [DATASET ...]     default: all seven datasets
#   JOBS=2 ./train_runs.sh SNS                    two runs at once
#   ./train_runs.sh IMDB --runs Normal_A uniform  these two runs
#   ./train_runs.sh toy                           the toy data, with 120 steps per run
#
# A run that is finished is skipped, an interrupted one resumes.
cd "$(dirname "$0")" && . ../scripts/jobs.sh
run_jobs classification train_runs "$@"
