#!/usr/bin/env bash
# Every run of sequence copying that is shown: permutations of 40 against 40 of 60 tokens, and the
# combinations of attention heads.
#
#   ./copying_runs.sh [--dry-run] [seq2seq] [multihead]     default: both
#   ./copying_runs.sh law                                   steps until copying, over a grid
#   ./copying_runs.sh toy                                   20 of 20 against 20 of 30, a small model
#
# A run that is finished is skipped, an interrupted one resumes.
cd "$(dirname "$0")" && . ../scripts/jobs.sh
JOBS=1 # each run shares out the cores among its models
run_jobs copying copying_runs "$@"
