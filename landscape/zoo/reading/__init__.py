"""Reading checkpoints as data: pickles by a machine that calls nothing, files within what they hold."""
