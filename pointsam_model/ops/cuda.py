"""The operations on a GPU: CUDA kernels if CuPy is installed, else plain PyTorch."""

from __future__ import annotations

import logging

import torch

from pointsam_model.ops.torch_ops import TorchOps

OLDEST_CHIP = (8, 0)  # the first with warp-wide reductions in one instruction


def gpu_ops() -> TorchOps:
    """The operations for this machine's GPUs; logs which."""
    log = logging.getLogger(__name__)
    why_not = obstacle()
    if why_not is not None:
        log.warning(
            "operations on the GPU: plain PyTorch, slower than the CUDA kernels. %s", why_not
        )
        return TorchOps()
    from pointsam_model.ops.kernel_ops import KernelOps
    from pointsam_model.ops.launching import CupyLauncher

    log.info("operations on the GPU: CUDA kernels, launched by CuPy")
    return KernelOps(CupyLauncher())


def obstacle() -> str | None:
    """Why the kernels cannot run here, or None."""
    try:
        import cupy  # noqa: F401
    except ImportError as error:
        return f"CuPy cannot be imported: {error} (pip install cupy-cuda12x, or cupy-cuda13x)"
    chips = [torch.cuda.get_device_capability(each) for each in range(torch.cuda.device_count())]
    if min(chips, default=OLDEST_CHIP) < OLDEST_CHIP:
        major, minor = min(chips)
        return f"a GPU here has compute capability {major}.{minor}; the kernels need 8.0"
    return None
