#!/usr/bin/env bash
# Every published training run: three seeds a dataset.
#
#   ./train_runs.sh [--dry-run] [DATASET ...]     all five datasets when none is named
#   JOBS=2 ./train_runs.sh multi30k               two runs at once
#
# A run that is finished is skipped, one that was interrupted goes on.
cd "$(dirname "$0")" && . ../scripts/jobs.sh

choose_datasets "multi30k iwslt14 news_commentary_v14_en_nl news_commentary_v14_en_pt news_commentary_v14_it_pt" "$@"
for dataset in "${DATASETS[@]}"; do
  case "$dataset" in
    multi30k) epochs=20 ;;
    iwslt14 | news_commentary_v14_en_pt) epochs=30 ;;
    *) epochs=40 ;;
  esac
  # Normal_A, Normal_B, then uniform
  for seed in 20 13 12; do
    uniform=
    [ $seed = 12 ] && uniform=" --uniform"
    job "$dataset seed=$seed|train_translation.py --dataset $dataset --seed $seed" \
      "--epochs $epochs --save_every 2000 --custom_saves 0,50,100,500,1000,1500$uniform"
  done
done
run_jobs
