"""A user's own labelled clouds as scenes to learn from, reduced as they are in use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointsam_model.cloud.cloud import Cloud
from pointsam_model.config.settings import ReductionConfig
from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.data.labelled import find_labelled, read_labelled
from pointsam_model.errors import ConfigError

KEPT = 2
FEWEST_POINTS = 20  # that an object must keep for a cloud to teach anything


class LabelledClouds:
    """The clouds of a folder (.npz: xyz [m], label, perhaps rgb), each with an object or more.

    Their objects have no parts: each is its own.

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
        self.up = np.array(up, np.float32) if len(up) else None
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

    def __getitem__(self, row: int) -> LabelledCloud:
        return self.scenes[row]

    def refresh(self) -> None:
        """A folder of labelled clouds is read once."""

    def _reduced(self, cloud: LabelledCloud, most_points: int) -> LabelledCloud:
        kept = Cloud(cloud.xyz, cloud.rgb).reduce(ReductionConfig(), most_points)
        instance = np.maximum(cloud.instance[kept.rows], -1)
        return LabelledCloud(
            kept.points,
            kept.colors,
            1,
            len(instance),
            cloud.name,
            instance=instance,
            up=self.up,
        )


def _teaches(scene: LabelledCloud) -> bool:
    counts = np.bincount(np.maximum(scene.instance, 0))
    return bool((counts[1:] >= FEWEST_POINTS).any())
