"""A reader of legacy VTK text files, written from the format's definition."""

import numpy as np


def parse(text):
    """Dimensions, points and scalar fields of a legacy VTK text file."""
    lines = text.splitlines()
    assert lines[0] == "# vtk DataFile Version 3.0"
    assert len(lines[1]) <= 256
    assert lines[2:4] == ["ASCII", "DATASET STRUCTURED_GRID"]
    nx, ny, nz = (int(n) for n in lines[4].split()[1:])
    count = int(lines[5].split()[1])
    assert lines[5] == f"POINTS {count} double"
    assert count == nx * ny * nz
    points = np.array([[float(v) for v in line.split()] for line in lines[6 : 6 + count]])
    rest = lines[6 + count :]
    assert rest.pop(0) == f"POINT_DATA {count}"
    fields = {}
    while rest:
        _, name, kind, one = rest.pop(0).split()
        assert (kind, one, rest.pop(0)) == ("double", "1", "LOOKUP_TABLE default")
        fields[name] = np.array([float(v) for v in rest[:count]]).reshape(ny, nx)
        rest = rest[count:]
    return points.reshape(ny, nx, 3), fields
