"""connect: a trained low-loss curve between two models."""
