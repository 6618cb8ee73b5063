"""Boxes as prompts: roughly where an object is, for example from another detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from pointsam_model.errors import PromptError
from pointsam_model.instances.boxes import OrientedBox

FLAT = 1e-3  # least side, as a share of the longest: an instance may be flat
TURN_TOLERANCE = 1e-3  # how far a rotation's columns may be from unit length and right angles
FORMS = (
    "a box is a Box, an OrientedBox (of an instance), or two opposite corners "
    "((x, y, z), (x, y, z)) [m]"
)


@dataclass(frozen=True, eq=False, init=False)
class Box:
    """A box in the cloud's coordinate frame, around an object and perhaps some of what is close.

    Attributes:
        center: (3,) float64 [m].
        size: (3,) float64, side lengths along the box's own axes [m], all above 0.
        orientation: (3, 3) float64, right-handed; its columns are the box's axes.
    """

    center: NDArray[np.float64]
    size: NDArray[np.float64]
    orientation: NDArray[np.float64]

    def __init__(
        self,
        center: npt.ArrayLike,
        size: npt.ArrayLike,
        orientation: npt.ArrayLike | None = None,
    ) -> None:
        """Checks the values and creates the box.

        Args:
            center: (3,) [m].
            size: (3,) side lengths [m].
            orientation: a rotation matrix (3, 3), or a quaternion (4,) x, y, z, w of any length
                but 0; None: aligned with the axes of the cloud's coordinate frame.

        Raises:
            PromptError: a wrong shape, a number that is not finite, a side that is not above 0, or
                an orientation that is not a rotation.
        """
        sides = _three("size", size)
        if (sides <= 0).any():
            raise PromptError(f"the size of a box is {sides.tolist()}; each side must be above 0 m")
        turn = np.eye(3) if orientation is None else _rotation(orientation)
        middle = _three("center", center)
        for name, value in (("center", middle), ("size", sides), ("orientation", turn)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, box: Any) -> Box:
        """Converts whatever `Prompt.box` accepts to a box.

        Raises:
            PromptError: not a box; the message lists what is accepted.
        """
        if isinstance(box, Box):
            return box
        if isinstance(box, OrientedBox):
            sides = np.asarray(box.size, np.float64)
            return cls(box.center, np.maximum(sides, FLAT * sides.max()), box.rotation)
        try:
            corners = np.asarray(box, np.float64)
        except (TypeError, ValueError) as error:
            raise PromptError(f"the box is invalid: {error}; {FORMS}") from error
        if corners.shape not in ((2, 3), (6,)):
            raise PromptError(f"the box has the shape {corners.shape}; {FORMS}")
        low, high = np.sort(corners.reshape(2, 3), axis=0)  # NaN sorts last
        return cls((low + high) / 2, high - low)

    def contains(self, points: NDArray[Any]) -> NDArray[np.bool_]:
        """(n,) bool: which points (n, 3) [m] lie in the box or on its faces; NaN does not."""
        reach = float(np.linalg.norm(self.size)) / 2 * (1 + 1e-9)
        # Column by column, each only on the rows that the previous ones left: numpy is several
        # times slower over the short axis, and most boxes hold few of a cloud's points.
        rows = np.flatnonzero(np.abs(points[:, 0] - self.center[0]) <= reach)
        for axis in (1, 2):
            rows = rows[np.abs(points[rows, axis] - self.center[axis]) <= reach]
        with np.errstate(over="ignore", invalid="ignore"):
            along = np.abs((points[rows] - self.center) @ self.orientation)
        within = along <= self.size / 2 * (1 + 1e-9)
        inside = np.zeros(len(points), np.bool_)
        inside[rows] = within[:, 0] & within[:, 1] & within[:, 2]
        return inside

    def distance(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """(n,) distances of points (n, 3) from the box [m], 0 inside."""
        along = np.abs((points - self.center) @ self.orientation)
        out = np.maximum(along - self.size / 2, 0)
        with np.errstate(over="ignore"):
            return np.asarray(np.linalg.norm(out, axis=1))


def _three(name: str, values: npt.ArrayLike) -> NDArray[np.float64]:
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"the {name} of a box must be three numbers [m]: {error}") from error
    if array.shape != (3,) or not np.isfinite(array).all():
        raise PromptError(
            f"the {name} of a box is {array.tolist()}; it must be three finite numbers [m]"
        )
    return array


def _rotation(orientation: npt.ArrayLike) -> NDArray[np.float64]:
    """A checked rotation matrix (3, 3) from a rotation matrix or a quaternion x, y, z, w."""
    try:
        given = np.array(orientation, np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"the orientation of a box must be numbers: {error}") from error
    if given.shape not in ((4,), (3, 3)) or not np.isfinite(given).all():
        raise PromptError(
            f"the orientation of a box has the shape {given.shape}; it must be a finite rotation "
            "matrix (3, 3) or a quaternion x, y, z, w"
        )
    if given.shape == (4,):
        return rotation_of(given)
    if np.abs(given.T @ given - np.eye(3)).max() > TURN_TOLERANCE or np.linalg.det(given) < 0:
        raise PromptError(
            f"the orientation of a box is {given.tolist()}; it must be a rotation matrix: "
            "right-handed, its columns of length 1 and at right angles"
        )
    return given


def rotation_of(quaternion: npt.ArrayLike) -> NDArray[np.float64]:
    """The rotation matrix (3, 3) of a quaternion x, y, z, w (4,), which need not be normalised.

    Raises:
        PromptError: its length is 0.
    """
    given = np.asarray(quaternion, np.float64)
    largest = np.abs(given).max()
    if not largest > 0:
        raise PromptError(
            "the orientation of a box is a quaternion of length 0; give (0, 0, 0, 1) if the box "
            "is not turned"
        )
    given = given / largest  # so that its squares neither overflow nor vanish
    x, y, z, w = given / np.linalg.norm(given)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
