#!/usr/bin/env bash
# Every word baseline: beta^px of each dataset.
#
#   ./embedding_runs.sh [--dry-run] [DATASET ...]     default: all five datasets
#   JOBS=2 ./embedding_runs.sh multi30k iwslt14       two datasets at once
#   ./embedding_runs.sh toy                           the toy data, 10 epochs
cd "$(dirname "$0")" && . ../scripts/jobs.sh
run_jobs translation embedding_runs "$@"
