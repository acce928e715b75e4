"""What every training uses: runs, checkpoints, resuming."""
