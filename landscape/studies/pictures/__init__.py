"""What a study draws: figures of its results, forests of effects, ladders of kinds."""
