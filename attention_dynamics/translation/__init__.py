"""The translation task: data, model, evaluation."""
