#!/usr/bin/env bash
# Every published training run: three seeds a dataset.
#
#   ./train_runs.sh [--dry-run] [DATASET ...]     all five datasets when none is named
#   JOBS=2 ./train_runs.sh multi30k               two runs at once
#   ./train_runs.sh toy                           the toy data, with a small model and 2 epochs
#
# A run that is finished is skipped, one that was interrupted goes on.
cd "$(dirname "$0")" && . ../scripts/jobs.sh

choose_datasets "multi30k iwslt14 news_commentary_v14_en_nl news_commentary_v14_en_pt news_commentary_v14_it_pt" "$@"
for dataset in "${DATASETS[@]}"; do
  schedule="--save_every 2000 --custom_saves 0,50,100,500,1000,1500"
  case "$dataset" in
    multi30k) schedule="--epochs 20 $schedule" ;;
    iwslt14 | news_commentary_v14_en_pt) schedule="--epochs 30 $schedule" ;;
    toy) schedule="--epochs 2 --config configs/toy_model.json --custom_saves 0,10,25,50,75,100,125,150,200" ;;
    *) schedule="--epochs 40 $schedule" ;;
  esac
  # Normal_A, Normal_B, then uniform
  for seed in 20 13 12; do
    uniform=
    [ $seed = 12 ] && uniform=" --uniform"
    job "$dataset seed=$seed|train_translation.py --dataset $dataset --seed $seed $schedule$uniform"
  done
done
run_jobs
