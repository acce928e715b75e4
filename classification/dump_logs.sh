#!/usr/bin/env bash
# Every published evaluation: alpha, beta and Delta at the checkpoints in configs/.
#
#   ./dump_logs.sh [--dry-run] [DATASET ...]      all seven datasets when none is named
#   JOBS=2 ./dump_logs.sh SNS Furd                two datasets at once
#   ./dump_logs.sh toy                            the toy data, 400 sentences of each split
#
# Checkpoints that were evaluated before are not evaluated again.
cd "$(dirname "$0")" && . ../scripts/jobs.sh

choose_datasets "IMDB Furd AG_News Newsgroups Yelp Amzn SNS" "$@"
for dataset in "${DATASETS[@]}"; do
  size=
  [ "$dataset" = toy ] && size=" --test_set_size 400"
  job "$dataset|eval_dump.py --dataset $dataset$size"
done
run_jobs
