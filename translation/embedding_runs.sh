#!/usr/bin/env bash
# Every word baseline: beta^px of each dataset.
#
#   ./embedding_runs.sh [--dry-run] [DATASET ...]     all five datasets when none is named
#   JOBS=2 ./embedding_runs.sh multi30k iwslt14       two datasets at once
cd "$(dirname "$0")" && . ../scripts/jobs.sh

choose_datasets "multi30k iwslt14 news_commentary_v14_en_nl news_commentary_v14_en_pt news_commentary_v14_it_pt" "$@"
for dataset in "${DATASETS[@]}"; do
  job "$dataset|embedding_beta.py --dataset $dataset"
done
run_jobs
