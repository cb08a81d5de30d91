"""Torch numerics: problems, operators, eigensolvers, directions, features. Knows no files and no pictures."""
