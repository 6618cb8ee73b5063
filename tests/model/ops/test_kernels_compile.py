"""Every kernel compiles for every chip that is promised, by NVRTC, which needs no GPU."""

from __future__ import annotations

import re

import pytest

from pointsam_model.ops import launching

nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed")

CHIPS = ("sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_120")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
ENTRY = re.compile(r"\.visible \.entry (\w+)\(")


def compiled(source: str, chip: str, options: tuple[str, ...] = ()) -> tuple[bool, str, bytes]:
    """Whether it compiles to machine code, what NVRTC says, and the PTX."""
    flags = [f"--gpu-architecture={chip}".encode(), *(each.encode() for each in options)]
    status, program = nvrtc.nvrtcCreateProgram(source.encode(), b"kernels.cu", 0, [], [])
    assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS
    (status,) = nvrtc.nvrtcCompileProgram(program, len(flags), flags)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = b" " * size
    nvrtc.nvrtcGetProgramLog(program, log)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        return False, log.decode(), b""
    _, size = nvrtc.nvrtcGetCUBINSize(program)
    assert size > 1000
    _, size = nvrtc.nvrtcGetPTXSize(program)
    ptx = b" " * size
    nvrtc.nvrtcGetPTX(program, ptx)
    return True, log.decode(), ptx


@pytest.fixture(scope="module", autouse=True)
def some_nvrtc() -> None:
    try:
        nvrtc.nvrtcVersion()
    except RuntimeError as error:  # the bindings are there, the library is not
        pytest.skip(f"NVRTC is not installed: {error}")


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("file", sorted(set(launching.KERNEL_FILES.values())))
def test_a_kernel_file_compiles_for_every_chip_into_registers(file: str, chip: str) -> None:
    options = (*launching.OPTIONS, "--ptxas-options=-v")
    fine, log, ptx = compiled(launching.source(file), chip, options)
    assert fine, log
    assert "warning" not in log, log
    # What a thread holds stays in its registers.
    frames = FRAME.findall(log)
    assert frames, log
    assert set(frames) == {("0", "0", "0")}, log
    declared = {kernel for kernel, where in launching.KERNEL_FILES.items() if where == file}
    assert set(ENTRY.findall(ptx.decode())) == declared


def test_an_error_in_a_kernel_is_told_by_its_file_and_line() -> None:
    fine, log, _ = compiled(launching.source("buckets") + "\nint wrong = ;", "sm_80")
    assert not fine
    assert re.search(r"buckets\.cu\(\d+\): error", log)


def test_every_kernel_file_is_known_to_the_launcher() -> None:
    files = {path.stem for path in launching.FOLDER.glob("*.cu")} - {launching.COMMON}
    assert files == set(launching.KERNEL_FILES.values())
