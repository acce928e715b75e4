"""Training many copiers as one: for a GPU, which a single small model leaves idle.

Models of one shape become one *stack*: every parameter gets a leading axis of models, and
``torch.vmap`` turns the plain formula of one model (``model.stepwise``) into batched products.
The sum of the models' losses gives each its own gradient, and the optimizers work element by
element, so each model learns as it would alone, from data of its own seed: the same up to rounding.
An interrupted stack starts again.

Memory: a step keeps what each model's backward pass needs. With the published sizes this is about
0.2 GiB for a copier and 0.33 GiB for one of eight heads. :func:`fitting` says how many models fit;
if there are more, they are trained in groups, one after the other.
"""

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

from attention_dynamics.copying.data import evaluation_batch, training_batch
from attention_dynamics.copying.evaluation import accuracies
from attention_dynamics.copying.histories import History, Stop, history_of
from attention_dynamics.copying.model import AnyCopier, nll
from attention_dynamics.copying.settings import Settings
from attention_dynamics.training import optimizers
from attention_dynamics.training.engine import Training

# Of what a forward pass saves; gradients and intermediate results come on top.
BACKWARD_FACTOR = 1.5
CPU_BYTES = 4 * 2**30  # memory that a stack may take on the CPU
CUDA_SHARE = 0.8  # of the free memory


def train(
    models: Sequence[AnyCopier],
    seeds: Sequence[int],
    settings: Settings,
    device: torch.device,
    stop: Stop | None = None,
) -> Iterator[tuple[int, History]]:
    """Train ``models`` (of one shape) as :func:`training.train` trains each alone.

    Parameters
    ----------
    seeds : of the models' data, one each; they may be equal
    stop : asked after each evaluation, for each model; the model's training ends when it says so

    Yields
    ------
    index, history
        of each model as soon as it has ended
    """
    at_once = fitting(models[0], settings, device) if models else 1
    for first in range(0, len(models), at_once):
        group = slice(first, first + at_once)
        for index, history in train_stack(models[group], seeds[group], settings, device, stop):
            yield first + index, history


def train_stack(
    models: Sequence[AnyCopier],
    seeds: Sequence[int],
    settings: Settings,
    device: torch.device,
    stop: Stop | None = None,
) -> Iterator[tuple[int, History]]:
    """:func:`train` of models that fit into the device's memory together."""
    stack = Stack(models, settings, device)
    training = Training(None, asdict(settings), "")
    training.begin(stack.template, stack.optimizer)
    indices = list(range(len(models)))  # of the models in the stack: those that have not ended
    evaluated: list[list[dict[str, Any]]] = [[] for _ in models]
    held_out = evaluation_batch(settings).to(device)
    last = settings.evaluations[-1]

    def loss(step: int) -> Tensor:
        at_step = [seeds[index] for index in indices]
        return stack.losses(gather(lambda s: training_batch(settings, s, step), at_step, device))

    with same_precision_as_cudnn():
        for step, losses in training.updates(loss, last, settings.evaluations, bar=False):
            measured = stack.evaluate(held_out)
            measured["loss"] = (
                torch.stack(losses).mean(dim=0).tolist() if losses else [math.nan] * len(indices)
            )
            kept = []
            for place, index in enumerate(indices):
                row = {name: values[place] for name, values in measured.items()}
                evaluated[index].append({"step": step} | row)
                history = history_of(evaluated[index])
                if step == last or (stop is not None and stop(history)):
                    yield index, history
                else:
                    kept.append(place)
            if not kept:
                return
            if len(kept) < len(indices):
                indices = [indices[place] for place in kept]
                stack.keep(kept)
                training.optimizer = stack.optimizer


class Stack:
    """Models of one shape, their parameters stacked, and their optimizer.

    Attributes
    ----------
    parameters : (models, ...) each, under the names that they have in one model
    """

    def __init__(self, models: Sequence[AnyCopier], settings: Settings, device: torch.device):
        self.settings = settings
        self.template = copy.deepcopy(models[0]).to("meta")
        self.template.fused = False
        stacked, _ = stack_module_state(list(models))
        self._set_parameters({name: v.detach().to(device) for name, v in stacked.items()})

    def _set_parameters(self, values: dict[str, Tensor]) -> None:
        self.parameters = {name: tensor.requires_grad_() for name, tensor in values.items()}
        self.optimizer = optimizers.build(asdict(self.settings), self.parameters.values())

    def losses(self, source: Tensor) -> Tensor:
        """Mean negative log-likelihood (models,) of ``source`` (models, batch, length)."""

        def of_one(parameters: dict[str, Tensor], source: Tensor) -> Tensor:
            return nll(functional_call(self.template, parameters, (source,)).logits, source)

        return torch.vmap(of_one)(self.parameters, source)

    @torch.no_grad()
    def evaluate(self, source: Tensor) -> dict[str, list]:
        """:func:`evaluation.accuracies` of each model on the same ``source`` (batch, length).

        In parts of a training batch at most: evaluation then needs less memory than training.
        """

        def of_one(parameters: dict[str, Tensor], part: Tensor) -> dict[str, Tensor]:
            output = functional_call(self.template, parameters, (part,))
            return accuracies(output, part, self.settings.length)

        totals: dict[str, Tensor] = {}
        for part in source.split(self.settings.batch_size):
            measured = torch.vmap(of_one, in_dims=(0, None))(self.parameters, part)
            for name, values in measured.items():
                totals[name] = totals.get(name, 0) + values * (len(part) / len(source))
        return {name: values.tolist() for name, values in totals.items()}

    def keep(self, places: list[int]) -> None:
        """Keep the models at these places of the stack alone, with a new optimizer."""
        states = [self.optimizer.state[parameter] for parameter in self.parameters.values()]
        self._set_parameters({name: v.detach()[places] for name, v in self.parameters.items()})
        for parameter, state in zip(self.parameters.values(), states):
            # The number of steps is a scalar, the same for all models.
            self.optimizer.state[parameter] = {
                key: value[places] if value.ndim else value for key, value in state.items()
            }


def gather(draw: Callable[[int], Tensor], seeds: list[int], device: torch.device) -> Tensor:
    """What ``draw`` gives for each seed, stacked, on ``device``; the same seed is drawn once."""
    drawn = {seed: draw(seed) for seed in dict.fromkeys(seeds)}
    stacked = torch.stack([drawn[seed] for seed in seeds])
    if device.type == "cuda":  # the copy from pinned memory does not wait for the device's work
        return stacked.pin_memory().to(device, non_blocking=True)
    return stacked.to(device)


def fitting(model: AnyCopier, settings: Settings, device: torch.device) -> int:
    """How many models like ``model`` fit into the device's memory as a stack, at least 1."""
    available: float = CPU_BYTES
    if device.type == "cuda":
        torch.cuda.empty_cache()
        available = CUDA_SHARE * torch.cuda.mem_get_info(device)[0]
    return max(1, int(available / bytes_of_one(model, settings, device)))


def bytes_of_one(model: AnyCopier, settings: Settings, device: torch.device) -> float:
    """About what training takes for each model of a stack, measured in a forward pass.

    It grows as batch x length x hidden size, with several heads as that times their number.
    """
    stack = Stack([model], settings, device)
    saved: dict[int, int] = {}  # address of a piece of memory: its bytes

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # an output that its own graph holds would never be freed

    source = gather(lambda seed: training_batch(settings, seed, 0), [0], device)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        losses = stack.losses(source)  # holds what was saved, so that no address comes twice
    parameters = sum(values.nbytes for values in stack.parameters.values())
    needed = BACKWARD_FACTOR * sum(saved.values()) + 3 * parameters  # gradient, Adam's two means
    del losses
    return needed


@contextlib.contextmanager
def same_precision_as_cudnn() -> Iterator[None]:
    """Let products on CUDA round as cuDNN's do, which ``nn.LSTM`` takes (TF32 by default)."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
