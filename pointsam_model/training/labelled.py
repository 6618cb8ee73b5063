"""A user's own labelled clouds as scenes to learn from, reduced as they are in use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointsam_model.cloud.cloud import Cloud
from pointsam_model.config.settings import ReductionConfig
from pointsam_model.data.labelled import LabelledCloud, find_labelled, read_labelled
from pointsam_model.errors import ConfigError
from pointsam_model.training.pool import PooledScene

KEPT = 2
FEWEST_POINTS = 20  # that an object must keep for a cloud to teach anything


class LabelledClouds:
    """The clouds of a folder (.npz: xyz [m], label, perhaps rgb), each with an object or more.

    Their objects have no parts, and an `up` of zeros is one that is not known.

    Args:
        folder: where they are; folders in it are searched too.
        shown: most points that a batch shows of a cloud; KEPT times as many are kept, chosen
            farthest from each other, and batches draw from them.
        up: direction against gravity in all of them; empty: not known.

    Raises:
        CloudError: a file that is no labelled cloud.
        ConfigError: no cloud with an object.
    """

    def __init__(self, folder: str | Path, shown: int, up: Sequence[float] = ()) -> None:
        self.up = np.array(up or (0, 0, 0), np.float32)
        most_points = KEPT * shown
        clouds = (self._reduced(read_labelled(path), most_points) for path in find_labelled(folder))
        self.scenes = [scene for scene in clouds if _teaches(scene)]
        if not self.scenes:
            raise ConfigError(
                f"no cloud in {folder} has an object (label >= 1) that keeps {FEWEST_POINTS} of "
                f"{most_points} points"
            )

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, row: int) -> PooledScene:
        return self.scenes[row]

    def refresh(self) -> None:
        """A folder of labelled clouds is read once."""

    def _reduced(self, cloud: LabelledCloud, most_points: int) -> PooledScene:
        kept = Cloud(cloud.xyz, cloud.rgb).reduce(ReductionConfig(), most_points)
        label = np.maximum(cloud.label[kept.rows], -1)
        colored = kept.colors is not None
        rgb = kept.colors if kept.colors is not None else np.zeros((len(label), 3), np.uint8)
        return PooledScene(kept.points, rgb, label, label, self.up, colored)


def _teaches(scene: PooledScene) -> bool:
    counts = np.bincount(np.maximum(scene.instance, 0))
    return bool((counts[1:] >= FEWEST_POINTS).any())
