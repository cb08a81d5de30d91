"""surface: the loss over a plane."""
