#!/usr/bin/env bash
# Every run of sequence copying that is shown: permutations of 40 against 40 of 60 tokens, and the
# combinations of attention heads.
#
#   ./copying_runs.sh [--dry-run] [seq2seq] [multihead]     both when none is named
#   ./copying_runs.sh toy                                   20 of 20 against 20 of 30, a small model
#
# A run that is finished is skipped, one that was interrupted goes on.
cd "$(dirname "$0")" && . ../scripts/jobs.sh

KIND=experiment choose_datasets "seq2seq multihead" "$@"
JOBS=1 # each run shares out the cores among its models by itself
for experiment in "${DATASETS[@]}"; do
  case "$experiment" in
    seq2seq)
      job "permutations|seq2seq.py --no_rep"
      job "40 of 60|seq2seq.py --no_rep num_vocab=60"
      ;;
    multihead) job "multihead|multihead.py" ;;
    toy)
      small="--seq_length 20 --hidden_dim 64 --bsize 64 --steps 120 --lr 0.003 --seeds 4"
      job "permutations|seq2seq.py --no_rep num_vocab=20 $small --exp_name toy_20of20"
      job "20 of 30|seq2seq.py --no_rep num_vocab=30 $small --exp_name toy_20of30"
      ;;
  esac
done
run_jobs
