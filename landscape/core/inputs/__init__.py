"""The loss as a function of the input: the scale of pixels, attacks, and curvature in the space of images."""
