"""Derivatives held against differences: does the loss move as its gradient says?

Attributes are the modules of this folder; import the names you need from them.
"""
