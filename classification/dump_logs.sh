#!/usr/bin/env bash
# Every published evaluation: alpha, beta and Delta at the grid's checkpoints, or at those that
# configs/<dataset>.json lists.
#
#   ./dump_logs.sh [--dry-run] [DATASET ...]      default: all seven datasets
#   JOBS=2 ./dump_logs.sh SNS Furd                two datasets at once
#   ./dump_logs.sh toy                            the toy data, 400 sentences of each split
#
# Checkpoints that were evaluated before are not evaluated again.
cd "$(dirname "$0")" && . ../scripts/jobs.sh
run_jobs classification dump_logs "$@"
