"""structure: where the curvature comes from."""
