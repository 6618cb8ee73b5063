"""Which operations a GPU gets, and how CuPy is asked to launch kernels: with a stand-in for CuPy.

What CuPy does with it is tested on a GPU only (marker gpu in tests/model/ops/test_kernels.py).
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pointsam_model import ops
from pointsam_model.ops import launching
from pointsam_model.ops.cpu import CpuOps
from pointsam_model.ops.cuda import gpu_ops
from pointsam_model.ops.kernel_ops import KernelOps
from pointsam_model.ops.torch_ops import TorchOps


def chosen(monkeypatch: pytest.MonkeyPatch, cupy: ModuleType | None) -> TorchOps:
    """What a GPU gets where `import cupy` gives this, None: nothing."""
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return gpu_ops()


def test_without_cupy_a_gpu_gets_plain_pytorch_and_the_log_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert type(chosen(monkeypatch, None)) is TorchOps
    assert "plain PyTorch" in caplog.text
    assert "pip install cupy-cuda12x" in caplog.text


def test_with_cupy_a_gpu_gets_the_kernels(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert type(chosen(monkeypatch, ModuleType("cupy"))) is KernelOps
    assert "CUDA kernels, launched by CuPy" in caplog.text


def test_a_chip_too_old_for_the_kernels_gets_plain_pytorch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7 + device, 5))
    assert type(chosen(monkeypatch, ModuleType("cupy"))) is TorchOps
    assert "compute capability 7.5" in caplog.text


def test_every_contract_is_computed_and_overrides_take_the_same() -> None:
    contracts = {name for name in ops.__all__ if callable(getattr(ops, name))}
    assert contracts <= set(vars(TorchOps))
    for overriding in (CpuOps, KernelOps):
        public = {name for name in vars(overriding) if not name.startswith("_")}
        assert public <= set(vars(TorchOps)), "an operation that plain PyTorch has not"
        for name in public:
            expected = inspect.signature(getattr(TorchOps, name))
            assert inspect.signature(getattr(overriding, name)) == expected, name


class CupyStandIn(ModuleType):
    """Keeps what it is asked to compile and to launch."""

    def __init__(self) -> None:
        super().__init__("cupy")
        self.compiled: list[dict[str, Any]] = []
        self.launched: list[tuple[Any, ...]] = []
        self.streams: list[Any] = []
        self.cuda = SimpleNamespace(ExternalStream=self._stream)

    def RawModule(self, **options: Any) -> Any:
        self.compiled.append(options)

        def function(name: str) -> Any:
            def launch(*arguments: Any, enable_cooperative_groups: bool) -> None:
                self.launched.append((name, *arguments, enable_cooperative_groups))

            return SimpleNamespace(kernel=launch)

        return SimpleNamespace(get_function=function)

    def _stream(self, pointer: int, device: int) -> Any:

        self.streams.append((pointer, device))
        return contextlib.nullcontext()


def test_kernels_get_addresses_on_pytorchs_stream_and_are_compiled_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cupy = CupyStandIn()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    stream = SimpleNamespace(cuda_stream=77, device_index=1)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)

    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    launcher = launching.CupyLauncher()
    tensor = torch.zeros(3)
    for _ in range(2):
        launcher.launch("morton_codes", (5, 1), 256, tensor, np.int32(3))
    launcher.launch("make_buckets", (5, 2), 64, tensor, together=True)
    launcher.launch("make_buckets", (0, 2), 64, tensor)

    assert [each["code"] for each in cupy.compiled] == [launching.source("buckets")]
    assert cupy.compiled[0]["options"] == launching.OPTIONS
    address = np.uint64(tensor.data_ptr())
    first = ("morton_codes", (5, 1, 1), (256, 1, 1), (address, np.int32(3)), False)
    assert cupy.launched == [
        first,
        first,
        ("make_buckets", (5, 2, 1), (64, 1, 1), (address,), True),
    ]
    assert cupy.streams == [(77, 1)] * 3
