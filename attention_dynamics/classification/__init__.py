"""The classification task: data, model, evaluation."""
