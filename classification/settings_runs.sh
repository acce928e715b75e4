#!/usr/bin/env bash
# Other encoders, and interventions in attention: what they change, in one table (docs/settings.md).
#
#   ./settings_runs.sh [--dry-run] DATASET [FLAG ...]     flags go to each training: --steps 600 --save_at log:25
#   SETTINGS_ONLY="bilstm gru" ./settings_runs.sh Furd
#   JOBS=2 ./settings_runs.sh Furd            two runs at once
#
# A run that is finished is skipped, an interrupted one resumes.
cd "$(dirname "$0")" && . ../scripts/jobs.sh && . ../scripts/settings.sh
run_settings "
bilstm
attention_from   --attention_from 200
attention_until  --attention_until 100
slow_attention   --attention_lr 0.0001
fast_attention   --attention_lr 0.01
attend_to        --attend_to 20
shuffled         --attend_to 20 --shuffle_attention
gru              --config configs/model_gru.json
transformer      --config configs/model_transformer.json
average          --config configs/model_average.json
" "$@"
