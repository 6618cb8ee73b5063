"""Long work on a model in short steps, between which other work may run."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pointsam_model.device.batches import batch_bytes, in_batches
from pointsam_model.device.memory import wait_for_device
from pointsam_model.errors import CancelledError

# Other work that arrives waits for the current batch, so batches are limited even if a GPU has much
# memory. This many objects keep any GPU busy; more would not be faster per object.
OBJECTS_AT_ONCE = 128


class Steps:
    """The steps of one call.

    Args:
        device: where the work runs.
        on_cpu: memory for a batch on a CPU [bytes]; on a GPU it is a share of what is free.
        cancelled: called between steps; returning True stops the work. It may run other work on
            the device first. None: never stopped, and the device is not waited for.
    """

    def __init__(
        self, device: torch.device, on_cpu: int, cancelled: Callable[[], bool] | None
    ) -> None:
        self._device, self._on_cpu, self._cancelled = device, on_cpu, cancelled

    def go_on(self) -> None:
        """Ends a step: waits for the device, then calls `cancelled`.

        Work is queued on a GPU faster than it is done. Without the wait, other work would come
        after all batches queued so far.

        Raises:
            CancelledError: `cancelled` returned True.
        """
        if self._cancelled is None:
            return
        wait_for_device(self._device)
        if self._cancelled():
            raise CancelledError("the work was cancelled")

    def in_batches(
        self, count: int, held: int, work: Callable[[slice], None], most: int = OBJECTS_AT_ONCE
    ) -> None:
        """Processes `count` objects, one batch per step; see `batches.in_batches`.

        Args:
            held: memory per object in a batch [bytes].
            work: processes the rows of a batch.
            most: most objects in a batch, regardless of memory.

        Raises:
            CancelledError, OutOfMemory
        """

        def step(batch: slice) -> None:
            self.go_on()
            work(batch)

        room = batch_bytes(self._device, self._on_cpu)
        in_batches(count, min(most, max(1, room // held)), step)
