"""What a usable point is: the same for clouds, files, evaluation and training."""

import numpy as np
import pytest

from pointsam_model import Cloud
from pointsam_model.cloud.valid import valid_points
from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.data.readers import SensorCloud

FLT_MAX = np.finfo(np.float32).max
NOTHING = {
    "NaN": (np.nan, 1.0, 1.0),
    "infinite": (1.0, np.inf, 1.0),
    "FLT_MAX, as some drivers send": (FLT_MAX, FLT_MAX, FLT_MAX),
    "one coordinate of FLT_MAX": (1.0, 1.0, FLT_MAX),
    "the origin": (0.0, 0.0, 0.0),
}


@pytest.mark.parametrize("row", NOTHING.values(), ids=NOTHING)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_no_return_is_none_to_everybody(row, dtype):
    xyz = np.array([(1, 2, 3), row, (0, 0, 1e-6)], dtype)
    expected = [True, False, True]
    assert valid_points(xyz).tolist() == expected
    assert Cloud(xyz).valid.tolist() == expected
    assert SensorCloud(xyz, None, 1, 3, "cloud").valid.tolist() == expected
    labelled = LabelledCloud(xyz, None, 1, 3, "cloud", instance=np.ones(3, np.int32))
    assert labelled.counted.tolist() == expected


def test_a_labelled_cloud_in_which_nothing_was_seen_has_no_objects():
    xyz = np.full((60, 3), FLT_MAX, np.float32)
    cloud = LabelledCloud(xyz, None, 1, 60, "cloud", instance=np.ones(60, np.int32))
    assert not cloud.counted.any() and cloud.objects() == [] and not cloud.is_bare
