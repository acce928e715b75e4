#!/usr/bin/env bash
# The logistic word baseline of each dataset: beta^lr.
#
#   ./logistic_runs.sh [--dry-run] [DATASET ...]      all seven datasets when none is named
#   JOBS=2 ./logistic_runs.sh SNS Furd                two datasets at once
#   ./logistic_runs.sh toy                            the toy data
#
# A baseline that is finished is skipped.
cd "$(dirname "$0")" && . ../scripts/jobs.sh

choose_datasets "IMDB Furd AG_News Newsgroups Yelp Amzn SNS" "$@"
for dataset in "${DATASETS[@]}"; do
  job "$dataset|logistic_beta.py --dataset $dataset"
done
run_jobs
