"""Clouds kept as numpy arrays: `.npz`, Open3D's among them, and `.npy`."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsam_model.data.clouds import LabelledCloud, SensorCloud
from pointsam_model.errors import CloudError

NPZ_FORM = (
    "a cloud in .npz has 'xyz' float (n,3) [m], and may have 'rgb' uint8 (n,3), 'intensity' (n,), "
    "'hw' [rows, columns] and 'label' integer (n,); Open3D's 'positions', 'colors', 'labels' "
    "are read too"
)
# As Open3D's tensor clouds name their attributes; each has the shape (n, channels).
OPEN3D_NAMES = {"positions": "xyz", "colors": "rgb", "intensity": "intensity", "labels": "label"}
NPY_FORM = (
    "a cloud in .npy is a float array (n,3), (n,4) with intensity, (n,5) with intensity and ring "
    "or (n,6) with colour"
)


def read_npz(path: Path) -> SensorCloud:
    """Reads a cloud from named arrays; one with labels is a LabelledCloud.

    Raises:
        CloudError: no readable npz, or not the form `NPZ_FORM`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise CloudError(f"{path} is not an npz file: {NPZ_FORM}")
            names = list(file.files)
            wanted = ("xyz", "rgb", "intensity", "hw", "label")
            arrays = {name: file[name] for name in wanted if name in names}
            if "xyz" not in names and "positions" in names:
                arrays = _of_open3d({name: file[name] for name in OPEN3D_NAMES if name in names})
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, CloudError):
            raise
        raise CloudError(f"cannot read {path}: {error}; {NPZ_FORM}") from error
    if "xyz" not in arrays:
        raise CloudError(f"{path} has the arrays {', '.join(names) or 'none'}; {NPZ_FORM}")
    xyz = _points(arrays["xyz"], path)
    height, width = _rows_and_columns(arrays.get("hw"), len(xyz), path)
    cloud = SensorCloud(
        xyz,
        _colors(arrays.get("rgb"), path),
        height,
        width,
        path.stem,
        intensity=_intensity(arrays.get("intensity"), path),
    )
    if "label" not in arrays:
        return cloud
    return LabelledCloud(**vars(cloud), instance=_labels(arrays["label"], path))


def read_npy(path: Path) -> SensorCloud:
    """Reads a cloud from one array: xyz, then intensity (4 or 5 columns) or r, g, b (6 columns).

    Colours are 0 to 255, or 0 to 1 where none is above 1.

    Raises:
        CloudError: no readable npy, or not the form `NPY_FORM`.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise CloudError(f"cannot read {path}: {error}; {NPY_FORM}") from error
    if not isinstance(array, np.ndarray):
        raise CloudError(f"{path} is not an npy file: {NPY_FORM}")
    if array.dtype.kind != "f" or array.ndim != 2 or array.shape[1] not in (3, 4, 5, 6):
        raise CloudError(f"{path} holds {array.dtype} of shape {array.shape}; {NPY_FORM}")
    xyz = _points(array[:, :3], path)
    intensity = array[:, 3].astype(np.float32) if array.shape[1] in (4, 5) else None
    rgb = _unit_or_byte_colors(array[:, 3:6], path) if array.shape[1] == 6 else None
    return SensorCloud(xyz, rgb, 1, len(xyz), path.stem, intensity=intensity)


def _of_open3d(arrays: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Open3D's attributes by our names: one channel is no axis, colours may be floats 0 to 1."""
    named = {OPEN3D_NAMES[name]: array for name, array in arrays.items()}
    for name in ("intensity", "label"):
        if name in named:
            named[name] = named[name].reshape(len(named[name]), -1)[:, 0]
    colors = named.get("rgb")
    if colors is not None and colors.dtype.kind == "f":
        named["rgb"] = np.round(np.nan_to_num(colors).clip(0, 1) * 255).astype(np.uint8)
    return named


def _points(array: NDArray[np.generic], path: Path) -> NDArray[np.floating]:
    if array.dtype.kind != "f" or array.ndim != 2 or array.shape[1] != 3:
        raise CloudError(
            f"{path}: xyz is {array.dtype} of shape {array.shape}; it must be float (n, 3)"
        )
    dtype = np.float64 if array.dtype.itemsize > 4 else np.float32
    return np.ascontiguousarray(array, dtype=dtype)


def _rows_and_columns(hw: NDArray[np.generic] | None, size: int, path: Path) -> tuple[int, int]:
    if hw is None:
        return 1, size
    if hw.shape != (2,) or hw.dtype.kind not in "iu":
        raise CloudError(f"{path}: hw is {hw.dtype} of shape {hw.shape}; it is [rows, columns]")
    return int(hw[0]), int(hw[1])


def _colors(rgb: NDArray[np.generic] | None, path: Path) -> NDArray[np.uint8] | None:
    if rgb is None:
        return None
    if rgb.dtype != np.uint8:
        raise CloudError(f"{path}: rgb is {rgb.dtype}; it must be uint8, 0 to 255")
    return np.ascontiguousarray(rgb, dtype=np.uint8)


def _labels(label: NDArray[np.generic], path: Path) -> NDArray[np.int32]:
    if label.dtype.kind not in "iu":
        raise CloudError(f"{path}: label is {label.dtype}; it must be whole numbers")
    return np.ascontiguousarray(label, dtype=np.int32)


def _intensity(values: NDArray[np.generic] | None, path: Path) -> NDArray[np.float32] | None:
    if values is None:
        return None
    if values.dtype.kind not in "fiu":
        raise CloudError(f"{path}: intensity is {values.dtype}; it must be numbers")
    return np.ascontiguousarray(values, dtype=np.float32)


def _unit_or_byte_colors(colors: NDArray[np.floating], path: Path) -> NDArray[np.uint8]:
    if not np.isfinite(colors).all() or colors.min() < 0 or colors.max() > 255:
        raise CloudError(f"{path}: columns 4 to 6 are not colours (0 to 255, or 0 to 1)")
    scale = 255.0 if colors.max() <= 1 else 1.0
    return np.round(colors * scale).astype(np.uint8)
