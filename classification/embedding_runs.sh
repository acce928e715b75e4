#!/usr/bin/env bash
# Every published word baseline: beta^px of each dataset.
#
#   ./embedding_runs.sh [--dry-run] [DATASET ...]     default: all seven datasets
#   JOBS=2 ./embedding_runs.sh SNS Furd               two datasets at once
#   ./embedding_runs.sh toy                           the toy data, 20 epochs
#
# A baseline that is finished is skipped, an interrupted one resumes.
cd "$(dirname "$0")" && . ../scripts/jobs.sh
run_jobs classification embedding_runs "$@"
