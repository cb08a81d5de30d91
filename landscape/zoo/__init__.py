"""Zoos: many checkpoints, planned, computed on one or many processes, resumed by themselves."""

from __future__ import annotations

from landscape.zoo.run import RunResult, Zoo, analyse, scan

__all__ = ["RunResult", "Zoo", "analyse", "scan"]
