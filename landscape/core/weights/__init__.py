"""What the parameters of a model say without any data: matrices of layers, their singular values, norms."""
