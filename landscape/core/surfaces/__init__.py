"""Lines and planes through parameter space, and the shape of a loss on them."""
