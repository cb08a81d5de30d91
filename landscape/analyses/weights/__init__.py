"""What the parameters of a model say without any data."""
