#!/usr/bin/env bash
# Every published training run: three seeds per dataset.
#
#   ./train_runs.sh [--dry-run] [DATASET ...]     default: all five datasets
#   JOBS=2 ./train_runs.sh multi30k               two runs at once
#   ./train_runs.sh multi30k --runs Normal_A      this run
#   ./train_runs.sh toy                           the toy data: five runs of a small model, 3 epochs
#
# A run that is finished is skipped, an interrupted one resumes.
cd "$(dirname "$0")" && . ../scripts/jobs.sh
run_jobs translation train_runs "$@"
