#!/usr/bin/env bash
# Every published evaluation: alpha, beta, Delta and BLEU at the checkpoints in configs/.
#
#   ./dump_logs.sh [--dry-run] [DATASET ...]      all five datasets when none is named
#   JOBS=2 ./dump_logs.sh multi30k iwslt14        two datasets at once
#   ./dump_logs.sh toy                            the toy data
#
# Checkpoints that were evaluated before are not evaluated again.
cd "$(dirname "$0")" && . ../scripts/jobs.sh

choose_datasets "multi30k iwslt14 news_commentary_v14_en_nl news_commentary_v14_en_pt news_commentary_v14_it_pt" "$@"
for dataset in "${DATASETS[@]}"; do
  config=
  [ "$dataset" = toy ] && config=" --config configs/toy_model.json"
  job "$dataset|eval_dump.py --dataset $dataset$config --eval_bleu --include_train_subset" \
    "--grad_bsize 32"
done
run_jobs
