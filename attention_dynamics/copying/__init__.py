"""Sequence copying: data, models, and the training of many models."""
