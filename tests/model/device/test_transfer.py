"""What crosses between host and device, and how: one copy, as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from backends import ON_A_GPU
from hypothesis import given
from hypothesis import strategies as st

from pointsam_model.device.transfer import fetched, packed, sent, unpacked
from pointsam_model.instances.overlaps import to_host

DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_A_GPU)])
KINDS = (torch.bool, torch.uint8, torch.int32, torch.float32, torch.int64, torch.float64)


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.booleans()), min_size=1))
def test_tensors_of_all_types_travel_together_as_they_are(
    kinds: list[tuple[torch.dtype, int, bool]],
) -> None:
    tensors = [
        torch.randint(0, 2, (rows, 3) if flat else (3, rows)).t().to(kind)
        for kind, rows, flat in kinds
    ]
    arrays = unpacked(packed(tensors).numpy(), tensors)
    for tensor, array in zip(tensors, arrays, strict=True):
        assert array.dtype == tensor.numpy().dtype
        assert array.flags.aligned
        np.testing.assert_array_equal(array, tensor.numpy())


def test_a_single_number_travels_too() -> None:
    scale, row = torch.tensor(0.5, dtype=torch.float64), torch.tensor(7, dtype=torch.int32)
    arrays = unpacked(packed([row, scale]).numpy(), [row, scale])
    assert [float(array) for array in arrays] == [7.0, 0.5]
    assert all(array.shape == () for array in arrays)


@DEVICES
def test_what_is_sent_comes_back(device: str) -> None:
    numbers = np.arange(12, dtype=np.float32).reshape(4, 3)
    there = sent(numbers, torch.device(device))
    assert there.device.type == device
    here, twice = fetched(there, 2 * there)
    np.testing.assert_array_equal(here, numbers)
    np.testing.assert_array_equal(twice, 2 * numbers)


@DEVICES
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(0, 5), size=st.sampled_from([1, 7, 8, 9, 64])
)
def test_masks_travel_as_bits(device: str, seed: int, count: int, size: int) -> None:
    masks = np.random.default_rng(seed).random((count, size)) < 0.5
    here = to_host(torch.from_numpy(masks).to(device))
    assert here.dtype == np.bool_
    np.testing.assert_array_equal(here, masks)
