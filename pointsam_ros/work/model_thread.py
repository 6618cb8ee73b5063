"""The model's life beside the node's: its thread, what is loaded there, and who waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from pointsam_model.errors import CancelledError
from pointsam_ros.codes import Code
from pointsam_ros.refusal import Refusal
from pointsam_ros.work.loaded import Loaded
from pointsam_ros.work.worker import Worker


class ModelThread:
    """A worker and what it has loaded, from `start` to `stop`, and again.

    Args:
        load: loads in the worker's thread.
        on_loaded: called there once `loaded` is set.
        on_failed: called with what `load` raised. Neither is called after `stop`, which waits while
            they run.
        on_error: called in the worker's thread with what an offered job raised.

    Attributes:
        worker: that of the last `start`; None before the first.
        loaded: None while there is nothing to work with.
    """

    def __init__(
        self,
        load: Callable[[Worker], Loaded],
        on_loaded: Callable[[], None],
        on_failed: Callable[[BaseException], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._load = load
        self._on_loaded = on_loaded
        self._on_failed = on_failed
        self._on_error = on_error
        self._switch = threading.Lock()  # what is loaded comes in one thread and goes in another
        self.worker: Worker | None = None
        self.loaded: Loaded | None = None

    def start(self) -> None:
        """Begins to load, after the last job of an earlier worker has ended."""
        previous, worker = self.worker, Worker(self._on_error)
        self.worker = worker

        def load() -> Loaded:
            if previous is not None:
                previous.join()  # one model at a time
            if worker.stopped:
                raise CancelledError("the node was deactivated before its model was loaded")
            return self._load(worker)

        loading = worker.ask(load, then=lambda loaded: self._has_loaded(worker, loaded))
        loading.add_done_callback(lambda ended: self._has_failed(worker, ended))

    def stop(self, why: str) -> None:
        """Lets go of what is loaded; whoever waits is refused with NOT_READY and told why."""
        if self.worker is not None:
            self.worker.stop(lambda: Refusal(Code.NOT_READY, why))
        with self._switch:
            self.loaded = None

    def _has_loaded(self, worker: Worker, loaded: Loaded) -> None:
        with self._switch:
            if worker.stopped:
                return
            self.loaded = loaded
            self._on_loaded()

    def _has_failed(self, worker: Worker, loading: Future) -> None:
        error = loading.exception()
        with self._switch:
            if error is not None and not worker.stopped:
                self._on_failed(error)
