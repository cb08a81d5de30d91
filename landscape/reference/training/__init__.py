"""Training: the loop, its data, its checkpoints and its methods."""
