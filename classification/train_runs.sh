#!/usr/bin/env bash
# Every published training run: seven seeds of 4,000 steps a dataset.
#
#   ./train_runs.sh [--dry-run] [DATASET ...]     all seven datasets when none is named
#   JOBS=2 ./train_runs.sh SNS                    two runs at once
#   ./train_runs.sh toy                           the toy data, with 120 steps a run
#
# A run that is finished is skipped, one that was interrupted goes on.
cd "$(dirname "$0")" && . ../scripts/jobs.sh

choose_datasets "IMDB Furd AG_News Newsgroups Yelp Amzn SNS" "$@"
for dataset in "${DATASETS[@]}"; do
  schedule="--steps 4000 --save_every 250 --custom_saves 0,10,50,100,150,200,250"
  [ "$dataset" = toy ] && schedule="--steps 120 --custom_saves 0,5,10,15,20,25,30,40,60,80"
  # Normal_A to Normal_F, then uniform
  for seed in 20 13 14 15 16 17 12; do
    uniform=
    [ $seed = 12 ] && uniform=" --uniform"
    job "$dataset seed=$seed|train_classifier.py --dataset $dataset --seed $seed $schedule$uniform"
  done
done
run_jobs
