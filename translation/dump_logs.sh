#!/usr/bin/env bash
# Every published evaluation: alpha, beta, Delta and BLEU at the grid's checkpoints, or at those that
# configs/<dataset>.json lists.
#
#   ./dump_logs.sh [--dry-run] [DATASET ...]      default: all five datasets
#   JOBS=2 ./dump_logs.sh multi30k iwslt14        two datasets at once
#   ./dump_logs.sh toy                            the toy data
#
# Checkpoints that were evaluated before are not evaluated again.
cd "$(dirname "$0")" && . ../scripts/jobs.sh
run_jobs translation dump_logs "$@"
