"""From a directory of checkpoints to the manifest of a run: what files and the user say, completed."""

from __future__ import annotations
