"""All that a run needs to go on after a kill: weights, their average, optimiser moments, step."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pointsam_model.nn import PointSAM
from pointsam_model.training.config import TrainingConfig


@dataclass
class TrainingState:
    """The moving parts of a run.

    Attributes:
        average: the weights' average over the steps.
        step: steps done.
        seconds: what they took, on whatever machine.
        validation: the last validation's values.
    """

    network: PointSAM
    config: TrainingConfig
    path: Path
    optimizer: torch.optim.AdamW
    average: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    validation: dict[str, float] = field(default_factory=dict)

    @classmethod
    def resume(cls, network: PointSAM, config: TrainingConfig, path: Path) -> TrainingState:
        """The state saved at `path`, or a fresh one."""
        decayed = [p for p in network.parameters() if p.ndim > 1]
        plain = [p for p in network.parameters() if p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=0.0,
            betas=(0.9, 0.98),
            fused=True,
        )
        average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        state = cls(network, config, path, optimizer, average)
        if path.exists():
            state._load()
        return state

    def update(self, rate: float) -> None:
        """One optimiser step with the gradients in the network."""
        self.descend(rate)
        self.step += 1
        # Young averages forget faster, so that they do not drag the first weights along.
        keep = min(self.config.ema_decay, self.step / (self.step + 10))
        with torch.no_grad():
            current = self.network.state_dict()
            torch._foreach_lerp_(
                list(self.average.values()), [current[name] for name in self.average], 1 - keep
            )

    def descend(self, rate: float) -> None:
        """What moves the weights in `update`, those alone that have a gradient."""
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def averaged(self) -> PointSAM:
        """A network of the averaged weights, for use."""
        with torch.device("meta"):
            network = PointSAM(self.network.config)
        weights = {name: value.clone() for name, value in self.average.items()}
        network.load_state_dict(weights, assign=True)
        return network.eval()

    def save(self) -> None:
        """Writes the state; a kill while it is written leaves the old one whole."""
        tensors = {f"average.{name}": value for name, value in self.average.items()}
        tensors |= {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            moments = self.optimizer.state.get(parameter)
            if moments:
                tensors[f"first.{name}"] = moments["exp_avg"]
                tensors[f"second.{name}"] = moments["exp_avg_sq"]
                tensors[f"steps.{name}"] = moments["step"]
        partial = self.path.with_suffix(".partial")
        tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        about = {"seconds": self.seconds, "validation": self.validation}
        save_file(tensors, partial, {"step": str(self.step), "about": json.dumps(about)})
        partial.replace(self.path)

    def _load(self) -> None:
        device = self.network.device
        with safe_open(self.path, framework="pt") as file:
            metadata = file.metadata()
            stored = {name: file.get_tensor(name).to(device) for name in file.keys()}  # noqa: SIM118
        self.step = int(metadata["step"])
        about = json.loads(metadata.get("about", "{}"))
        self.seconds = about.get("seconds", 0.0)
        self.validation = about.get("validation", {})
        self.average = {name: stored[f"average.{name}"] for name in self.average}
        self.network.load_state_dict({name: stored[f"network.{name}"] for name in self.average})
        # The first runs wrote neither `about` nor each tensor's own count of steps.
        done = torch.tensor(float(self.step), device=device)
        for name, parameter in self.network.named_parameters():
            if f"first.{name}" in stored:
                self.optimizer.state[parameter] = {
                    "step": stored.get(f"steps.{name}", done.clone()),
                    "exp_avg": stored[f"first.{name}"],
                    "exp_avg_sq": stored[f"second.{name}"],
                }
