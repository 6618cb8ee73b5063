"""Long work on a model in short steps, between which others may use it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pointsam_model.device.batches import batch_bytes, in_batches
from pointsam_model.device.memory import wait_for_device
from pointsam_model.errors import CancelledError

# Whoever comes in the middle waits until the device has done what it was given last: at most one
# batch, however much memory a GPU has free. So many objects keep any chip busy; more at once would
# take longer and not be faster.
OBJECTS_AT_ONCE = 128


class Steps:
    """The steps of one call, and whoever is asked between them.

    Args:
        device: where the work is done.
        on_cpu: memory for a batch on a CPU [bytes]; on a GPU it is a share of what is free.
        cancelled: asked between steps; True ends the work. It may do other work on the device
            before it answers. None: nobody is asked, and nobody waits for the device.
    """

    def __init__(
        self, device: torch.device, on_cpu: int, cancelled: Callable[[], bool] | None
    ) -> None:
        self._device, self._on_cpu, self._cancelled = device, on_cpu, cancelled

    def go_on(self) -> None:
        """Ends a step: when the device has done it, asks.

        A GPU is given work faster than it does it. Without the wait, whoever is let in between
        would come after all batches that were given to it so far.

        Raises:
            CancelledError: the caller has lost interest.
        """
        if self._cancelled is None:
            return
        wait_for_device(self._device)
        if self._cancelled():
            raise CancelledError("the work was cancelled")

    def in_batches(
        self, count: int, held: int, work: Callable[[slice], None], most: int = OBJECTS_AT_ONCE
    ) -> None:
        """Work over `count` objects, each batch a step; see `batches.in_batches`.

        Args:
            held: bytes that an object takes while a batch is at work.
            work: takes the rows of a batch.
            most: objects in a batch, however much memory there is.

        Raises:
            CancelledError, OutOfMemory
        """

        def step(batch: slice) -> None:
            self.go_on()
            work(batch)

        room = batch_bytes(self._device, self._on_cpu)
        in_batches(count, min(most, max(1, room // held)), step)
