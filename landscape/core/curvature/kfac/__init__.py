"""Kronecker-factored curvature: what layers see, blocks in their eigenbases, and the operators made of them."""
