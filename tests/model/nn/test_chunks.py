"""Chunks of rows over cores give what all rows at once give, and leave PyTorch's threads alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from pointsam_model.config.model import DecoderConfig
from pointsam_model.nn.chunks import chunked, map_chunks
from pointsam_model.nn.mask_decoder import MaskDecoder
from pointsam_model.nn.patch_embed import PatchEncoder


@pytest.fixture(params=[1, 2, 3], ids=["one core", "two cores", "three cores"])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 7, 1000, 100_001])
def test_every_row_is_worked_on_once_and_in_order(cores: int, count: int) -> None:
    rows = torch.arange(count)
    with torch.no_grad():
        assert torch.equal(map_chunks(lambda part: rows[part], count, 64, torch.float32), rows)


def test_results_are_laid_along_the_asked_dimension(cores: int) -> None:
    values = torch.rand(2, 3, 50_000)
    with torch.inference_mode():
        laid = map_chunks(lambda part: values[..., part], 50_000, 64, torch.float32, dim=-1)
    assert torch.equal(laid, values)


def test_work_runs_without_gradients_as_its_caller_does(cores: int) -> None:
    def work(part: slice) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        return torch.full((len(range(*part.indices(9_000))),), torch.is_inference_mode_enabled())

    with torch.no_grad():
        assert not map_chunks(work, 9_000, 1_000, torch.float32).any()
    with torch.inference_mode():
        assert map_chunks(work, 9_000, 1_000, torch.float32).all()


def test_threads_of_the_caller_and_of_new_threads_stay_as_they_were(cores: int) -> None:
    seen: list[int] = []
    with torch.no_grad():
        map_chunks(lambda part: torch.ones(1), 100, 1 << 18, torch.float32)
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [torch.get_num_threads()] == [cores]


def test_an_error_in_a_chunk_reaches_the_caller(cores: int) -> None:
    def work(part: slice) -> torch.Tensor:
        raise ArithmeticError(f"row {part.start}")

    with torch.no_grad(), pytest.raises(ArithmeticError, match="row 0"):
        map_chunks(work, 10_000, 1_000, torch.float32)


def test_patches_encoded_in_chunks_match_all_at_once(cores: int) -> None:
    torch.manual_seed(0)
    encoder, points = PatchEncoder(4, (48, 96), 32), torch.randn(2, 3, 90, 36, 4)
    assert chunked(points) is False
    at_once = encoder(points)
    with torch.inference_mode():
        torch.testing.assert_close(encoder(points), at_once, atol=1e-5, rtol=0)


@pytest.mark.parametrize("objects", [1, 3])
def test_masks_decoded_in_chunks_match_all_at_once(cores: int, objects: int) -> None:
    torch.manual_seed(0)
    decoder = MaskDecoder(DecoderConfig(dim=32, heads=4, mlp_dim=64, upscale_dim=16), 3)
    points, heads = torch.randn(2, objects, 20, 32), torch.randn(2, objects, 3, 16)
    index, weight = torch.randint(20, (2, 9_001, 3)), torch.rand(2, 9_001, 3)
    weight = weight / weight.sum(-1, keepdim=True)
    at_once = decoder.masks(points, heads, (index, weight))
    with torch.inference_mode():
        in_chunks = decoder.masks(points, heads, (index, weight))
    assert at_once.shape == (2, objects, 3, 9_001)
    torch.testing.assert_close(in_chunks, at_once, atol=1e-5, rtol=0)


def test_autocast_is_obeyed_where_chunks_would_run(cores: int) -> None:
    torch.manual_seed(0)
    encoder = PatchEncoder(6, (16, 32), 24)
    points = torch.randn(1, 9_000, 8, 6)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert encoder(points).dtype == torch.bfloat16
