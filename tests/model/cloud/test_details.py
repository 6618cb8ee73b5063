"""Details: what is too small for the kept points is noticed, what is no thing is not."""

import numpy as np
import pytest

from pointsam_model.cloud.details import detail_at

SPACING, KEPT_SPACING = 0.0012, 0.007


class Surface:
    """A surface as a function of x and y, with colours, seen finely and kept coarsely."""

    def __init__(self, height, colour=None, noise=0.0002):
        rng = np.random.default_rng(0)
        self.source = self._grid(0.05, SPACING, height, rng, noise)
        self.kept = self._grid(0.05, KEPT_SPACING, height, rng, noise)
        self.colour = colour

    @staticmethod
    def _grid(half, spacing, height, rng, noise):
        axis = np.arange(-half, half, spacing)
        x, y = (each.ravel() for each in np.meshgrid(axis, axis))
        z = height(x, y) + rng.normal(0, noise, len(x))
        return np.stack([x, y, z], 1)

    def _nearest(self, points, at, count):
        rows = np.argsort(np.linalg.norm(points - at, axis=1))[:count]
        colours = None if self.colour is None else self.colour(points[rows, 0], points[rows, 1])
        return points[rows], colours

    def around(self, point, count):
        return self._nearest(self.source, point, count)

    def kept_around(self, point, count):
        return self._nearest(self.kept, point, count)


def flat(x, y):
    return np.zeros_like(x)


def disc(diameter, height):
    return lambda x, y: np.where(np.hypot(x, y) <= diameter / 2, height, 0.0)


@pytest.mark.parametrize("diameter", [0.005, 0.008, 0.012])
def test_a_small_disc_on_a_table_is_a_detail_by_its_height(diameter):
    assert detail_at(Surface(disc(diameter, 0.0015)), np.array([0, 0, 0.0015])) is not None


def test_a_small_mark_is_a_detail_by_its_colour():
    def colour(x, y):
        inside = np.hypot(x, y) <= 0.004
        return np.where(inside[:, None], (200.0, 40, 40), (90.0, 90, 90))

    assert detail_at(Surface(flat, colour), np.zeros(3)) is not None


@pytest.mark.parametrize(
    "height",
    [
        flat,
        lambda x, y: 0.3 * x - 0.2 * y,
        lambda x, y: np.where(x > 0.004, 0.02, 0.0),  # a step
        lambda x, y: np.sqrt(np.maximum(0.04**2 - x**2, 0)),  # the side of a cup
        lambda x, y: 0.002 * np.round((0.2 * x) / 0.002),  # depths in steps
        disc(0.06, 0.01),  # large enough for the kept points
    ],
    ids=["table", "tilted", "step", "cup", "quantised", "lid"],
)
def test_tables_edges_cups_and_noise_are_no_details(height):
    assert (
        detail_at(Surface(height), np.array([0, 0, float(height(np.zeros(1), np.zeros(1))[0])]))
        is None
    )


def test_a_large_mark_is_no_detail():
    def colour(x, y):
        return np.where((x > -0.002)[:, None], (200.0, 40, 40), (90.0, 90, 90))

    assert detail_at(Surface(flat, colour), np.zeros(3)) is None


def test_a_cloud_that_is_kept_as_finely_as_it_is_has_no_details():
    surface = Surface(disc(0.005, 0.0015))
    surface.kept = surface.source
    assert detail_at(surface, np.array([0, 0, 0.0015])) is None


def test_few_points_have_no_details():
    surface = Surface(flat)
    surface.source = surface.source[:50]
    assert detail_at(surface, surface.source[0]) is None
