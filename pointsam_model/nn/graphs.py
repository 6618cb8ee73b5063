"""CUDA graphs: the kernels of a function with fixed shapes, launched as one.

A click needs a hundred small kernels; launching them one by one takes the host longer than the GPU
needs to run them. A graph is captured once, from the function running on the graph's own tensors,
and replayed: inputs are copied into those tensors, and results out of them.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

Inputs = Sequence[Tensor | None]
Outputs = tuple[Tensor, ...]
Function = Callable[..., Outputs]

MOST_GRAPHS = 32  # of a model; each holds its inputs, all share the memory of what is in between
WARM_UPS = 2  # runs before a capture, in which libraries choose their kernels

_one_captures = threading.Lock()  # of all models: to begin a capture, the device must be idle


class Backend(Protocol):
    """Captures and replays graphs; tests have one that needs no GPU."""

    def capture(self, function: Function, inputs: Inputs) -> tuple[Callable[[], None], Outputs]:
        """What runs the function's kernels again on these very tensors, and where results lie."""

    def turn(self) -> AbstractContextManager[None]:
        """Inside, work of this thread comes after that of all turns before."""

    def wait(self) -> None:
        """Returns when the work of all turns is done."""


@dataclass(frozen=True)
class _Graph:
    inputs: Inputs
    replay: Callable[[], None]
    outputs: Outputs


class Graphs:
    """Graphs of a model's functions, one for each combination of input shapes and types.

    May be called from several threads, which take turns. The least recently used graph is dropped.

    Args:
        backend: captures and replays them, on the device of all inputs.
        most: most graphs to keep.
    """

    def __init__(self, backend: Backend, most: int = MOST_GRAPHS) -> None:
        self._backend = backend
        self._most = most
        self._lock = threading.Lock()
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._impossible: set[Hashable] = set()

    def __len__(self) -> int:
        return len(self._graphs)

    def __call__(self, name: Hashable, function: Function, *inputs: Tensor | None) -> Outputs:
        """Computes `function(*inputs)`, with a graph captured the first time these shapes occur.

        If it cannot be captured, it runs without a graph, and a warning is logged.

        Args:
            name: identifies the function and all that it depends on except its inputs.
            function: from tensors to a tuple of tensors; without gradients, synchronisation with
                the device, or dependence on values.
            inputs: tensors on the backend's device, or None.
        """
        key = (
            name,
            tuple(None if tensor is None else (tensor.shape, tensor.dtype) for tensor in inputs),
        )
        # Buffers outlive the caller's inference mode, and are written to outside of it.
        with self._lock, torch.inference_mode(False), torch.no_grad():
            graph = self._graphs.get(key) or self._captured(key, function, inputs)
            if graph is not None:
                self._graphs.move_to_end(key)
                return self._replayed(graph, inputs)
        return function(*inputs)

    def _captured(self, key: Hashable, function: Function, inputs: Inputs) -> _Graph | None:
        if key in self._impossible:
            return None
        try:
            with self._backend.turn():
                buffers = [
                    None if tensor is None else torch.empty_like(tensor).copy_(tensor)
                    for tensor in inputs
                ]
                graph = _Graph(buffers, *self._backend.capture(function, buffers))
        except RuntimeError as error:
            self._impossible.add(key)
            logging.getLogger(__name__).warning(
                "no CUDA graph of %s, its kernels are started one by one: %s", key, error
            )
            return None
        if len(self._graphs) >= self._most:
            self._backend.wait()  # it may still run
            self._graphs.popitem(last=False)
        self._graphs[key] = graph
        return graph

    def _replayed(self, graph: _Graph, inputs: Inputs) -> Outputs:
        with self._backend.turn():
            for buffer, value in zip(graph.inputs, inputs, strict=True):
                if buffer is not None and value is not None:
                    buffer.copy_(value)
            graph.replay()
            return tuple(output.clone() for output in graph.outputs)


class CudaBackend:
    """Graphs of one GPU, which share the memory of what is between their inputs and outputs.

    That they may, since one begins only when the results of the one before are copied.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = None
        self._last: torch.cuda.Event | None = None

    def capture(self, function: Function, inputs: Inputs) -> tuple[Callable[[], None], Outputs]:
        with _one_captures, torch.cuda.device(self._device):
            if self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            mine, aside = torch.cuda.current_stream(), torch.cuda.Stream()
            aside.wait_stream(mine)
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    function(*inputs)
            mine.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            try:
                # Other threads may use the device meanwhile.
                with torch.cuda.graph(graph, self._pool, capture_error_mode="thread_local"):
                    outputs = function(*inputs)
            finally:
                torch.cuda.set_stream(mine)  # a capture that fails leaves its own
        return graph.replay, outputs

    @contextmanager
    def turn(self) -> Iterator[None]:
        stream = torch.cuda.current_stream(self._device)
        if self._last is not None:
            stream.wait_event(self._last)
        try:
            yield
        finally:
            self._last = stream.record_event()

    def wait(self) -> None:
        if self._last is not None:
            self._last.synchronize()
