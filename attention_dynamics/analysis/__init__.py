"""From dumps to figures: agreement, its uncertainty, and tables."""
