"""Figures, the explorer and the report."""
