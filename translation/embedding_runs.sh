#!/usr/bin/env bash
# Every word baseline: beta^px of each dataset.
#
#   ./embedding_runs.sh [--dry-run] [DATASET ...]     all five datasets when none is named
#   JOBS=2 ./embedding_runs.sh multi30k iwslt14       two datasets at once
#   ./embedding_runs.sh toy                           the toy data, 10 epochs
cd "$(dirname "$0")" && . ../scripts/jobs.sh

choose_datasets "multi30k iwslt14 news_commentary_v14_en_nl news_commentary_v14_en_pt news_commentary_v14_it_pt" "$@"
for dataset in "${DATASETS[@]}"; do
  settings=
  [ "$dataset" = toy ] && settings=" --epochs 10 --lr 0.002"
  job "$dataset|embedding_beta.py --dataset $dataset$settings"
done
run_jobs
