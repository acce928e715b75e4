#!/usr/bin/env bash
# The logistic word baseline of each dataset: beta^lr.
#
#   ./logistic_runs.sh [--dry-run] [DATASET ...]      default: all seven datasets
#   JOBS=2 ./logistic_runs.sh SNS Furd                two datasets at once
#   ./logistic_runs.sh toy                            the toy data
#
# A baseline that is finished is skipped.
cd "$(dirname "$0")" && . ../scripts/jobs.sh
run_jobs classification logistic_runs "$@"
