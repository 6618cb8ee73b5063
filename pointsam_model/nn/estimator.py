"""Small fitted estimators: an MLP with two hidden layers on standardised inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pointsam_model.errors import CheckpointError

ROWS = 4096  # at a time: what is between two layers then stays in a CPU's cache
FARTHEST = 6.0  # standard deviations that a number may be off; beyond nothing was learned


class Estimator:
    """Predicts probabilities from numeric features.

    Args:
        tensors: `mean`, `deviation` (f,), and `weight.i` (o,f), `bias.i` (o,) of layers 0 to 2.
        about: what it was fitted on, as metadata.
    """

    def __init__(self, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
        self.tensors = {name: tensor.float() for name, tensor in tensors.items()}
        self.about = dict(about)
        self._on_device: dict[torch.device, dict[str, Tensor]] = {}

    @classmethod
    def read(cls, path: Path, inputs: int, outputs: int) -> Estimator:
        """Reads an estimator with this number of inputs and outputs.

        Raises:
            CheckpointError: unreadable, other numbers of inputs or outputs, or values not finite.
        """
        try:
            with safe_open(path, "pt") as file:  # type: ignore[no-untyped-call]
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                about = file.metadata() or {}
        except Exception as error:
            raise CheckpointError(f"cannot read the estimator {path}: {error}") from error
        names = {
            "mean",
            "deviation",
            *(f"{kind}.{i}" for kind in ("weight", "bias") for i in range(3)),
        }
        if set(tensors) != names or not _chained(tensors, inputs, outputs):
            raise CheckpointError(
                f"{path} is not an estimator of {outputs} outputs from {inputs} numbers, as this "
                "version expects: refit it (pointsam fit)"
            )
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise CheckpointError(f"{path} holds values that are not finite: refit it")
        return cls(tensors, about)

    def write(self, path: Path) -> None:
        """Writes it as safetensors."""
        save_file(
            {name: tensor.contiguous() for name, tensor in self.tensors.items()}, path, self.about
        )

    def __call__(self, numbers: Tensor) -> Tensor:
        """Probabilities (r,o) for rows of features (r,f)."""
        return self.logits(numbers).sigmoid()

    def logits(self, numbers: Tensor) -> Tensor:
        """The logits (r,o) of `__call__`'s probabilities."""
        return torch.cat([self._logits_of_few(few) for few in numbers.split(ROWS)])

    def _logits_of_few(self, numbers: Tensor) -> Tensor:
        own = self._at(numbers.device)
        hidden = ((numbers - own["mean"]) / own["deviation"]).clamp(-FARTHEST, FARTHEST)
        for layer in (0, 1):
            hidden = F.relu(F.linear(hidden, own[f"weight.{layer}"], own[f"bias.{layer}"]))
        return F.linear(hidden, own["weight.2"], own["bias.2"])

    def _at(self, device: torch.device) -> dict[str, Tensor]:
        """The tensors on a device, sent there once; weights with the inputs outermost in memory, as
        products with few rows are fastest."""
        if device not in self._on_device:
            there = {name: tensor.to(device) for name, tensor in self.tensors.items()}
            for i in range(3):
                there[f"weight.{i}"] = there[f"weight.{i}"].t().contiguous().t()
            self._on_device[device] = there
        return self._on_device[device]


def _chained(tensors: Mapping[str, Tensor], inputs: int, outputs: int) -> bool:
    """Whether the layers fit each other and their numbers."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if any(len(shapes[f"weight.{i}"]) != 2 for i in range(3)):
        return False
    first, second = shapes["weight.0"][0], shapes["weight.1"][0]
    return shapes == {
        "mean": (inputs,),
        "deviation": (inputs,),
        "weight.0": (first, inputs),
        "bias.0": (first,),
        "weight.1": (second, first),
        "bias.1": (second,),
        "weight.2": (outputs, second),
        "bias.2": (outputs,),
    }
