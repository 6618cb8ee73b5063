"""Clouds as the bytes of their messages."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pointsam_model.cloud.cloud import CloudLayout, PointField

SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 8: 8}


def random_cloud(n: int, seed: int = 0) -> np.ndarray:
    """(n,3) float64, 1 to 3 m in front of the sensor."""
    return np.random.default_rng(seed).uniform((-1, -1, 1), (1, 1, 3), (n, 3))


def packed(xyz: np.ndarray) -> tuple[bytes, CloudLayout]:
    """Points as the simplest buffer there is."""
    fields = tuple(PointField(name, 4 * i, 7) for i, name in enumerate("xyz"))
    return xyz.astype("<f4").tobytes(), CloudLayout(fields, 1, len(xyz), 12, 12 * len(xyz))


@st.composite
def buffers(draw: st.DrawFn) -> tuple[bytes, CloudLayout]:
    """Bytes and layout of a legal cloud: any order, padding, types, byte order and colours."""
    kinds = [(name, draw(st.sampled_from([7, 8]))) for name in "xyz"]
    colors = draw(st.sampled_from(["none", "rgb", "rgba", "separate", "words", "both", "odd"]))
    if colors in ("rgb", "rgba", "both"):
        kinds.append(("rgb" if colors == "both" else colors, draw(st.sampled_from([5, 6, 7]))))
    if colors in ("separate", "both"):
        kinds += [(name, 2) for name in "rgb"]
    if colors == "words":
        kinds += [(name, 2) for name in ("red", "green", "blue")]
    if colors == "odd":
        kinds += [("rgb", 8), ("intensity", 7), ("ring", 4), ("_", 2), ("_", 4)]
    fields, offset = [], 0
    for name, datatype in draw(st.permutations(kinds)):
        offset += draw(st.integers(0, 3))
        fields.append(PointField(name, offset, datatype, draw(st.sampled_from([0, 1]))))
        offset += SIZES[datatype]
    step = offset + draw(st.integers(0, 5))
    height, width = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    row_step = width * step + draw(st.integers(0, 7))
    layout = CloudLayout(tuple(fields), height, width, step, row_step, draw(st.booleans()))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = bytearray(rng.integers(0, 256, height * row_step, np.uint8).tobytes())
    order = ">" if layout.big_endian else "<"
    for name in "xyz":
        field = layout.field(name)
        assert field is not None
        for row in range(height):
            for column in range(width):
                at = row * row_step + column * step + field.offset
                number = np.array(rng.normal(), f"{order}f{SIZES[field.datatype]}")
                data[at : at + SIZES[field.datatype]] = number.tobytes()
    return bytes(data), layout
