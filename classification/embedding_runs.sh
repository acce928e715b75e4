#!/usr/bin/env bash
# Every published word baseline: beta^px of each dataset.
#
#   ./embedding_runs.sh [--dry-run] [DATASET ...]     all seven datasets when none is named
#   JOBS=2 ./embedding_runs.sh SNS Furd               two datasets at once
cd "$(dirname "$0")" && . ../scripts/jobs.sh

choose_datasets "IMDB Furd AG_News Newsgroups Yelp Amzn SNS" "$@"
for dataset in "${DATASETS[@]}"; do
  case "$dataset" in
    IMDB | Yelp | Amzn) lr=0.00005 ;;
    *) lr=0.00015 ;;
  esac
  job "$dataset|embedding_beta.py --dataset $dataset --epochs 60 --lr $lr"
done
run_jobs
