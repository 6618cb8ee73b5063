"""Starts and stops the model's thread, and loads the model in it."""

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
    """A worker with the loaded model, from `start` to `stop`; may be restarted.

    Args:
        load: loads the model, in the worker's thread.
        on_loaded: called there once `loaded` is set.
        on_failed: called with the exception of `load`. Neither of the two is called after `stop`,
            which waits for a running one.
        on_error: called in the worker's thread with the exception of an offered job.

    Attributes:
        worker: the worker of the last `start`; None before the first.
        loaded: the loaded parts; None while there are none.
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
        self._switch = threading.Lock()  # `loaded` is set in one thread and cleared in another
        self.worker: Worker | None = None
        self.loaded: Loaded | None = None

    def start(self) -> None:
        """Begins to load, once the last job of an earlier worker has ended."""
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
        """Releases the model; waiting requests are refused with NOT_READY and the reason `why`."""
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
