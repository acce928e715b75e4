#!/usr/bin/env bash
# Every published evaluation of both tasks: alpha, beta and Delta of saved checkpoints.
#
#   ./dump_logs.sh [classification|translation] [--dry-run] [DATASET ...]
#   JOBS=2 ./dump_logs.sh classification SNS Furd
#
# Checkpoints that were evaluated before are not evaluated again.
cd "$(dirname "$0")" && . scripts/jobs.sh
in_task_folders "$@"
