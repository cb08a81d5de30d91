"""Passes: how a model is run over data at equal meaning, and what a graph of it saves.

Attributes are the modules of this folder; import the names you need from them.
"""
