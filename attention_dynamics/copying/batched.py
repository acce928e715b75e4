"""Training many copiers as one: for a GPU, which a single small model leaves idle.

Models of one shape become one *stack*: every parameter gets a leading axis of models, and
``torch.vmap`` turns the plain formula of one model (``model.stepwise``) into batched products.
The sum of the models' losses gives each its own gradient, and Adam works element by element, so
each model learns as it would alone, from data of its own seed. On CUDA a training step is
captured once as a graph and then replayed, which spares the launch of some thousand small kernels.

Memory: a step keeps what each model's backward pass needs. With the published sizes this is about
0.2 GiB a copier and 0.33 GiB one of eight heads. :func:`fitting` says how many models fit; when
there are more, they are trained in groups, one after the other.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from attention_dynamics import cli
from attention_dynamics.copying.histories import COLUMNS, History
from attention_dynamics.copying.training import (
    Settings,
    accuracies,
    append,
    evaluation_batch,
    nll,
    training_batch,
)

# Steps before the capture of a graph: libraries choose their kernels and Adam makes its state.
# They are steps of training like any other.
WARM_UP = 3
# A stack is made smaller when so many of its models have ended: a capture costs about ten steps.
SHRINK_AT = 0.75
# Of what a forward pass saves; gradients and intermediate results come on top.
BACKWARD_FACTOR = 1.5
CPU_BYTES = 4 * 2**30  # what a stack may take there
CUDA_SHARE = 0.8  # of the free memory


def train(
    models: list[nn.Module],
    seeds: list[int],
    settings: Settings,
    device: torch.device,
    stop: Callable[[History], bool] | None = None,
) -> Iterator[tuple[int, History]]:
    """Train ``models`` (of one shape) as :func:`training.train` does each by itself.

    Parameters
    ----------
    seeds : of the models' data, one each; they may be alike
    stop : asked after each evaluation, for each model; its training ends where it says so

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
    models: list[nn.Module],
    seeds: list[int],
    settings: Settings,
    device: torch.device,
    stop: Callable[[History], bool] | None = None,
) -> Iterator[tuple[int, History]]:
    """:func:`train` of models that fit into the device's memory together."""
    stack = Stack(models, settings.lr, device)
    histories: list[History] = [{column: [] for column in COLUMNS} for _ in models]
    rows = list(range(len(models)))  # which model is where in the stack; some may have ended
    under_way = set(rows)
    held_out = evaluation_batch(settings).to(device)
    losses = []  # since the last evaluation, each (models,)
    last = settings.evaluations[-1]
    with same_precision_as_cudnn():
        for step in range(last + 1):
            if step in settings.evaluations:
                measured = stack.evaluate(held_out, settings)
                mean = torch.stack(losses).mean(dim=0).tolist() if losses else None
                losses.clear()
                for row, index in enumerate(rows):
                    if index not in under_way:
                        continue
                    values = {name: column[row] for name, column in measured.items()}
                    append(histories[index], step, mean[row] if mean else float("nan"), values)
                    if step == last or (stop is not None and stop(histories[index])):
                        under_way.remove(index)
                        yield index, histories[index]
                if not under_way:
                    return
                if len(under_way) <= SHRINK_AT * len(rows):
                    kept = [row for row, index in enumerate(rows) if index in under_way]
                    rows = [rows[row] for row in kept]
                    stack.keep(kept)
            at_step = [seeds[index] for index in rows]
            source = gather(lambda seed, s=step: training_batch(settings, seed, s), at_step, device)
            losses.append(stack.step(source))


class Stack:
    """Models of one shape, their parameters stacked, and their Adam.

    Attributes
    ----------
    parameters : (models, ...) each, under the names that they have in one model
    """

    def __init__(self, models: list[nn.Module], lr: float, device: torch.device):
        self.template = copy.deepcopy(models[0]).to("meta")
        self.template.fused = False
        stacked, _ = stack_module_state(models)
        self.parameters = {
            name: values.detach().to(device).requires_grad_() for name, values in stacked.items()
        }
        self.lr, self.capturable = lr, device.type == "cuda"
        self.optimizer = self._adam()
        self.stream = torch.cuda.Stream() if self.capturable else None
        self._forget_graph()

    def step(self, source: Tensor) -> Tensor:
        """One update on ``source`` (models, batch, length); the models' losses before it."""
        if not self.capturable:
            return self._update(source)
        if self.graph is None and self.eager_steps < WARM_UP:
            self.eager_steps += 1
            with self.side_stream():
                return self._update(source)
        if self.graph is None:
            self._capture(source)
            if not self.capturable:
                return self._update(source)
        self.graph_source.copy_(source)
        self.graph.replay()
        return self.graph_losses.clone()

    @torch.no_grad()
    def evaluate(self, source: Tensor, settings: Settings) -> dict[str, list]:
        """:func:`training.accuracies` of each model on the same ``source`` (batch, length).

        At most as many sequences at once as in training: it then needs less memory than training.
        """

        def of_one(parameters: dict[str, Tensor], part: Tensor) -> dict[str, Tensor]:
            return accuracies(
                *functional_call(self.template, parameters, (part,)), part, settings.length
            )

        totals: dict[str, Tensor] = {}
        for part in source.split(settings.batch_size):
            measured = torch.vmap(of_one, in_dims=(0, None))(self.parameters, part)
            for name, values in measured.items():
                totals[name] = totals.get(name, 0) + values * (len(part) / len(source))
        return {name: values.tolist() for name, values in totals.items()}

    def losses(self, source: Tensor) -> Tensor:
        """Mean negative log-likelihood (models,) of ``source`` (models, batch, length)."""

        def of_one(parameters: dict[str, Tensor], source: Tensor) -> Tensor:
            return nll(functional_call(self.template, parameters, (source,)).logits, source)

        return torch.vmap(of_one)(self.parameters, source)

    def keep(self, rows: list[int]) -> None:
        """Go on with the models in these rows alone."""
        self._forget_graph()
        moments = [self.optimizer.state[parameter] for parameter in self.parameters.values()]
        self.parameters = {
            name: values.detach()[rows].requires_grad_() for name, values in self.parameters.items()
        }
        self.optimizer = self._adam()
        for parameter, state in zip(self.parameters.values(), moments):
            # "step" is one number, the same for all
            self.optimizer.state[parameter] = {
                key: value if key == "step" else value[rows] for key, value in state.items()
            }

    def _adam(self) -> torch.optim.Adam:
        return torch.optim.Adam(
            self.parameters.values(), lr=self.lr, fused=True, capturable=self.capturable
        )

    def _update(self, source: Tensor) -> Tensor:
        """Forward, backward, Adam: what a graph holds."""
        losses = self.losses(source)
        parameters = list(self.parameters.values())
        # not .backward(), which would add to gradients of the step before
        # with uniform attention nothing depends on the queries
        gradients = torch.autograd.grad(losses.sum(), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients):
            # products give some transposed, and the fused Adam reads memory in order
            parameter.grad = None if gradient is None else gradient.contiguous()
        self.optimizer.step()
        return losses.detach()

    @contextlib.contextmanager
    def side_stream(self) -> Iterator[None]:
        """Work on another stream than the default one, as the steps before a capture must."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            yield
        torch.cuda.current_stream().wait_stream(self.stream)

    def _forget_graph(self) -> None:
        self.graph = self.graph_source = self.graph_losses = None
        self.eager_steps = 0

    def _capture(self, source: Tensor) -> None:
        """Record a step without taking it; where that is not possible, do without graphs.

        https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture
        """
        self.graph_source = source.clone()
        self.optimizer.zero_grad()  # gradients shall lie in the graph's own memory
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph):
                self.graph_losses = self._update(self.graph_source)
            self.graph = graph
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            cli.say(f"no CUDA graph of a training step ({reason}): going on without, slower")
            torch.cuda.set_stream(stream)  # a capture that fails may leave its own
            torch.cuda.synchronize()
            self._forget_graph()
            self.optimizer.zero_grad()
            self.capturable = False


def gather(draw: Callable[[int], Tensor], seeds: list[int], device: torch.device) -> Tensor:
    """What ``draw`` gives for each seed, stacked, on ``device``; the same seed is drawn once."""
    drawn = {seed: draw(seed) for seed in dict.fromkeys(seeds)}
    stacked = torch.stack([drawn[seed] for seed in seeds])
    if device.type == "cuda":  # from pinned memory the copy does not wait for the device's work
        return stacked.pin_memory().to(device, non_blocking=True)
    return stacked.to(device)


def fitting(model: nn.Module, settings: Settings, device: torch.device) -> int:
    """How many models like ``model`` fit into the device's memory as a stack, at least 1."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        available = CUDA_SHARE * torch.cuda.mem_get_info(device)[0]
    else:
        available = CPU_BYTES
    return max(1, int(available / bytes_of_one(model, settings, device)))


def bytes_of_one(model: nn.Module, settings: Settings, device: torch.device) -> float:
    """What training takes for each model of a stack, about: measured in a forward pass.

    It grows as batch x length x hidden size, with several heads as that times their number.
    """
    stack = Stack([model], settings.lr, device)
    saved: dict[int, int] = {}  # bytes of the memory that begins there

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
    """Let products on CUDA round as cuDNN's do, which ``nn.LSTM`` takes (TF32, by default)."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
