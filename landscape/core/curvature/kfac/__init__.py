"""Kronecker-factored curvature: what layers see, their blocks, and operators of these."""
