"""Answers: how what a model returns is read beside its targets, and what an answer of a classification is.

Attributes are the modules of this folder; import the names you need from them.
"""
