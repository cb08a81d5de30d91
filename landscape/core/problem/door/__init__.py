"""The door of a problem: what it is given is held to its type, read in the one way it can be, or refused.

Attributes are the modules of this folder; import the names you need from them.
"""
