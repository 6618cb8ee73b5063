"""What a generated scene may look like: resolution, ranges and shares, with their units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pointsam_model.errors import ConfigError

Range = tuple[float, float]


@dataclass(frozen=True)
class TabletopConfig:
    """What lies on a table and how, and what is cropped of the finished cloud."""

    # Objects on the table.
    objects: tuple[int, int] = (1, 25)  # lowest and highest number drawn; 0: bare tables
    crowded_share: float = 0.4  # scenes that draw from the upper part, crowded_objects and more
    crowded_objects: int = 9
    object_scale: Range = (0.85, 1.4)  # factor on all objects of a scene
    vessel_share: float = 0.0  # objects that are bowls, pots and cups, beside the usual share

    # Arrangement: each scene has one of these styles; what is left is scattered.
    pile_share: float = 0.40
    stack_share: float = 0.18
    row_share: float = 0.17
    crate_share: float = 0.06  # of all scenes: objects lie in a crate or bin on the table
    shelf_share: float = 0.05  # of all scenes: objects stand on the boards of a shelf on it
    tilted_share: float = 0.35  # objects that may come to rest tilted, outside of scattered scenes

    # Table: half sides; the top is z = 0 of the world.
    table_half_size: Range = (0.35, 0.9)
    round_table_share: float = 0.12
    room_share: float = 0.6  # of the uncropped scenes: floor below, and perhaps a wall behind

    # Cropping of the finished cloud.
    crop_to_table_share: float = 0.55
    crop_to_objects_share: float = 0.2

    def __post_init__(self) -> None:
        check(
            self,
            ("crop_to_table_share", "crop_to_objects_share"),
            ("pile_share", "stack_share", "row_share"),
            ("crate_share", "shelf_share"),
            not_negative=("objects",),
        )


@dataclass(frozen=True)
class _NoiseConfig:
    noise: bool = True  # of depth and colour, and returns that are lost


@dataclass(frozen=True)
class CameraConfig(_NoiseConfig):
    """A depth camera: its image, its place and its errors.

    Widths named `_px` are pixels of a 640-pixel-wide image: they are scaled to `width`, so a scene
    keeps its look at any resolution.
    """

    # Image.
    width: int = 160
    height: int = 120

    # Place, and what it sees of the world.
    distance: Range = (0.5, 1.8)
    elevation: Range = (20.0, 75.0)
    roll: Range = (-6.0, 6.0)
    horizontal_fov: Range = (48.0, 66.0)
    kinect_fov_share: float = 0.5  # exactly 57.3 degrees, as Kinect v1 after registration

    # Depth noise. A scene draws one kind of camera and one strength for all of it. What is left
    # of the kinds is structured light.
    axial_sigma: Range = (0.0006, 0.0026)  # standard deviation at 1 m, grows with depth squared
    disparity_step_px: float = 0.125
    baseline: float = 0.075  # between projector and camera
    lateral_sigma_px: Range = (0.2, 1.0)
    warp_sigma: Range = (0.0, 0.003)  # slow relative depth error over the image
    quantised_share: float = 0.8
    shadow_share: float = 0.85
    flying_share: float = 0.35
    edge_dropout: Range = (0.0, 0.45)
    grazing_cosine: Range = (0.06, 0.22)
    hole_share: float = 0.25  # scenes with patches of no return
    band_share: float = 0.06  # scenes with rows or columns of no return
    stereo_share: float = 0.16
    stereo_axial_sigma: Range = (0.001, 0.004)  # at 1 m, grows with depth squared
    stereo_window_px: Range = (3.0, 13.0)  # matched together: smears edges
    stereo_blank_loss: Range = (0.0, 0.35)  # share lost on surfaces without texture
    time_of_flight_share: float = 0.14
    flight_axial_sigma: Range = (0.0008, 0.003)  # at 1 m on a bright wall, grows with depth
    flight_footprint_px: Range = (2.0, 10.0)
    multipath: Range = (0.0, 0.7)  # share by which concave corners are filled
    colour_shift_px: Range = (0.0, 3.0)  # colour image against depth

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if not 8 <= getattr(self, name) <= 4096:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be 8 to 4096 pixels")
        check(self, ("stereo_share", "time_of_flight_share"))


@dataclass(frozen=True)
class AppearanceConfig(_NoiseConfig):
    """Colours, light, and surfaces that give a depth camera few points."""

    gray_share: float = 0.06  # whole scene in gray
    uniform_share: float = 0.06  # one colour for everything
    same_colour_share: float = 0.15  # all objects share a colour
    twin_share: float = 0.12  # objects that look like the one before, often their neighbour
    shades_share: float = 0.08  # scenes whose objects are in shades of one colour
    table_colour_share: float = 0.10  # objects have the table's colour
    colour_noise: Range = (0.005, 0.04)  # of full scale
    miscalibrated_share: float = 0.2  # scenes with wrong exposure, black level and white balance
    shiny_share: float = 0.04  # parts that lose most of their points
    dark_share: float = 0.4  # of the dark parts: lose some of their points

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class SceneConfig(TabletopConfig, CameraConfig, AppearanceConfig):
    """Ranges (low, high) and shares (0 to 1) from which every tabletop draws its own values.

    Lengths are metres, angles degrees.
    """

    def __post_init__(self) -> None:
        TabletopConfig.__post_init__(self)
        CameraConfig.__post_init__(self)


def check(
    config: Any,
    *of_one_choice: tuple[str, ...],
    positive: tuple[str, ...] = (),
    not_negative: tuple[str, ...] = (),
) -> None:
    """What every config of scenes keeps to.

    Args:
        config: a dataclass. Its shares (`*_share`) are 0 to 1, its ranges (low, high) in order.
        of_one_choice: names of shares that are 1 at most together.
        positive: names of ranges above 0.
        not_negative: names of ranges that may begin at 0.

    Raises:
        ConfigError: says which value is wrong, and what would be right.
    """
    for name, value in vars(config).items():
        if name.endswith("_share") and not 0.0 <= value <= 1.0:
            raise ConfigError(f"{name} is {value}, must be 0 to 1")
        if isinstance(value, tuple):
            low, high = value
            above = low > 0 if name in positive else low >= 0 if name in not_negative else True
            if not (above and low <= high):
                least = "0 < " if name in positive else "0 <= " if name in not_negative else ""
                raise ConfigError(f"{name} is {value}, must be {least}low <= high")
    for names in of_one_choice:
        if sum(getattr(config, name) for name in names) > 1.0:
            raise ConfigError(f"{' + '.join(names)} must not exceed 1")
