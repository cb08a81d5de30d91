"""A store as files for other programs: paper figures, VTK, tables."""
