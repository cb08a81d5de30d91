"""The loss as a function of the image: attacks, surfaces and curvature by the pixels."""
