"""The reference zoo: real data, small models and the training that makes checkpoints of them."""
