"""Training with PyTorch: on a CPU, on CUDA, and in several processes started by torchrun."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from shrew.corpus.packed import PackedRows
from shrew.errors import ConfigError, TrainingError
from shrew.model.config import ModelConfig
from shrew.model.parameters import Array, Parameters
from shrew.run import TrainConfig
from shrew.run.processes import Process, this_process
from shrew.train.backends.protocol import Step
from shrew.train.backends.rounding import LateRounding
from shrew.train.backends.torch_network import Network, Rows
from shrew.train.backends.torch_optimizer import clip_gradient, make_optimizer


class TorchBackend:
    """Each process holds all parameters, processes its share of a batch's rows, and steps by the sum of all gradients.

    Gradients are one vector, so one all-reduce per step does what DistributedDataParallel would do. Losses are summed,
    not averaged, so shares with unequal numbers of learned tokens add up to the result of a single process.
    """

    def __init__(self, model: ModelConfig, config: TrainConfig, initial: Parameters) -> None:
        self._model, self._config = model, config
        self._process = this_process()
        self._device = _device(config, self._process)
        if self._device.type == "cpu":
            torch.set_num_threads(config.threads)
        if self._process.count > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self._device.type == "cuda" else "gloo")
        self._flat = torch.from_numpy(initial.flat.copy()).to(self._device).requires_grad_()
        self._optimizer = make_optimizer(model, config, self._device)
        self._rounding = LateRounding(model, config)
        precision = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
        nats = Network(model, self._device, precision).nats
        self._nats = torch.compile(nats, fullgraph=True, dynamic=False) if config.compile else nats

    def step(self, batch: PackedRows, learning_rate: float) -> Step:
        learned = float(batch.weights.sum(dtype=np.float64))
        try:
            seen = self._seen()
            loss = self._nats(seen, self._own_rows(batch, math.ceil(len(batch) / self._process.count)))
            (gradient,) = torch.autograd.grad(loss, seen)
        except torch.OutOfMemoryError:
            raise ConfigError(f"train: batch {self._config.batch} does not fit the GPU's memory; lower it") from None
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = str(error).split("\n", 1)[0]
            raise ConfigError(f"train: PyTorch cannot compile here ({reason}); set train.compile=false") from None
        with torch.no_grad():
            total = self._all_reduce(torch.cat([gradient, loss.view(1)]))
            gradient, loss = total[:-1], total[-1]
            if self._rounding.begun:
                gradients = Parameters(self._model, gradient.cpu().numpy())
                self._rounding.step(gradients, learned, learning_rate)
                gradient.copy_(torch.from_numpy(gradients.flat))
            norm = clip_gradient(gradient, 1 / max(learned, 1.0), self._config.clip)
            self._optimizer.step(self._flat, gradient, learning_rate)
            good = torch.isfinite(self._flat).all()
            nats, norm, good = torch.stack([loss, norm, good]).tolist()  # the only wait for the device
        if not (math.isfinite(nats) and math.isfinite(norm) and good):
            raise FloatingPointError("loss, gradient or parameters")
        return Step(nats, learned, norm)

    def evaluate(self, rows: PackedRows) -> tuple[float, float]:
        count = math.ceil(min(self._config.batch, len(rows)) / self._process.count)
        together = count * self._process.count
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        seen = self._seen()
        with torch.no_grad():
            for start in range(0, len(rows), together):
                part = rows.take(np.arange(start, min(start + together, len(rows))))
                total += self._nats(seen, self._own_rows(part, count))
        return self._all_reduce(total).item(), float(rows.weights.sum(dtype=np.float64))

    def begin_rounding(self) -> None:
        self._rounding.begin(self.parameters())

    def _seen(self) -> Tensor:
        """The flat vector that the network computes with: all parameters, rounded or not."""
        if not self._rounding.begun:
            return self._flat
        rounded = self._rounding.seen(self.parameters())
        return torch.from_numpy(rounded.flat).to(self._device, copy=True).requires_grad_()

    def parameters(self) -> Parameters:
        return Parameters(self._model, self._flat.detach().cpu().numpy())

    def tensors(self) -> Mapping[str, Array]:
        return self._rounding.tensors(self.parameters())

    def optimizer_state(self) -> dict[str, Array]:
        return self._optimizer.state() | self._rounding.state()

    def load(self, parameters: Parameters, optimizer_state: Mapping[str, Array]) -> None:
        self._optimizer.load_state(optimizer_state)
        with torch.no_grad():
            self._flat.copy_(torch.from_numpy(parameters.flat))
        self._rounding.load_state(optimizer_state, parameters)

    def largest(self, value: float) -> float:
        if self._process.count == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self._device)
        return self._all_reduce(tensor, dist.ReduceOp.MAX).item()

    def close(self) -> None:
        if dist.is_initialized():
            dist.destroy_process_group()

    def _own_rows(self, rows: PackedRows, count: int) -> Rows:
        """This process's share of ``rows`` on the device, padded to ``count`` rows."""
        own = rows.take(np.arange(self._process.rank, len(rows), self._process.count))
        return Rows.of(own, count, self._device)

    def _all_reduce(self, tensor: Tensor, operation: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
        """Replaces ``tensor`` by its sum over all processes, or the result of another ``operation``; returns it."""
        if self._process.count > 1:
            try:
                dist.all_reduce(tensor, operation)
            except RuntimeError:
                raise TrainingError("another process of this training has ended; go on with --resume") from None
        return tensor


def _device(config: TrainConfig, process: Process) -> torch.device:
    """The device of this process: its own GPU, or the CPU."""
    if config.device == "cpu" or (config.device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if process.local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"train: device cuda: process {process.local_rank} of this machine needs a GPU of its own, and PyTorch "
            f"sees {torch.cuda.device_count()}; start fewer processes or set train.device=cpu"
        )
    torch.cuda.set_device(process.local_rank)
    return torch.device("cuda", process.local_rank)
