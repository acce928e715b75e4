#!/usr/bin/env bash
# Every published word baseline: beta^px of each dataset.
#
#   ./embedding_runs.sh [--dry-run] [DATASET ...]     all seven datasets when none is named
#   JOBS=2 ./embedding_runs.sh SNS Furd               two datasets at once
#   ./embedding_runs.sh toy                           the toy data, 20 epochs
#
# A baseline that is finished is skipped, one that was interrupted goes on.
cd "$(dirname "$0")" && . ../scripts/jobs.sh

choose_datasets "IMDB Furd AG_News Newsgroups Yelp Amzn SNS" "$@"
for dataset in "${DATASETS[@]}"; do
  case "$dataset" in
    IMDB | Yelp | Amzn) settings="--epochs 60 --lr 0.00005" ;;
    toy) settings="--epochs 20 --lr 0.001" ;;
    *) settings="--epochs 60 --lr 0.00015" ;;
  esac
  job "$dataset|embedding_beta.py --dataset $dataset $settings"
done
run_jobs
