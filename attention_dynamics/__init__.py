"""What the stages of the experiments share: imported, never run."""
