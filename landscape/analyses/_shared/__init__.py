"""What analyses of two families use."""
