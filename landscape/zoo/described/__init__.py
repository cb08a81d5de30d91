"""What files that libraries wrote beside weights say of a model: its architecture and its preprocessing."""

from __future__ import annotations
