"""Looking into pickles without running them: which names would loading import?"""

from __future__ import annotations

from pathlib import Path

__all__ = ["unsafe_globals"]


def unsafe_globals(path: Path) -> list[str]:
    """Names that unpickling a checkpoint would import, beyond those that are read without it.

    Args:
        path: A file of ``torch.save`` in the zip or the legacy format, or a plain pickle.

    Returns:
        Dotted names as the pickle's stack holds them, sorted. A damaged file gives the names found before the
        damage.
    """
    from landscape.zoo.reading.archive import names_in

    return sorted(names_in(path))
