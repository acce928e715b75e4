"""The one training loop, apart from the files of a run (test_runs.py)."""

import pytest
import torch
from torch import nn

from attention_dynamics.cli import InputError
from attention_dynamics.training import engine, optimizers
from attention_dynamics.training.engine import Training

SETTINGS = {"optimizer": "adam", "lr": 0.01, "version": 1}


def start(path=None, settings=SETTINGS, every=0.0) -> tuple[Training, nn.Linear]:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    training = Training(path, settings, "delete it", every)
    training.begin(model, optimizers.build(settings, model.parameters()))
    return training, model


def batch(step: int) -> torch.Tensor:
    return torch.sin(torch.arange(12.0) + step).view(4, 3)


def plain(optimizer: torch.optim.Optimizer, model: nn.Module, steps: int) -> list[float]:
    losses = []
    for step in range(steps):
        loss = (model(batch(step)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_every_optimizer_against_the_plain_loop(name):
    training, model = start(settings=SETTINGS | {"optimizer": name})
    pauses = list(training.updates(lambda step: (model(batch(step)) ** 2).mean(), 7, {0, 3}))
    assert [step for step, _ in pauses] == [0, 3, 7]
    assert [len(losses) for _, losses in pauses] == [0, 3, 4]
    torch.manual_seed(0)
    other = nn.Linear(3, 1)
    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name]
    expected = plain(kind(other.parameters(), lr=0.01), other, 7)
    found = [loss.item() for _, losses in pauses for loss in losses]
    assert found == pytest.approx(expected, rel=1e-6)
    assert torch.allclose(model.weight, other.weight, rtol=1e-6)
    assert not any(loss.requires_grad for _, losses in pauses for loss in losses)


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_a_training_resumes_with_the_same_bytes(name, tmp_path):
    settings = SETTINGS | {"optimizer": name}
    ends = {}
    for kind, stops in (("whole", [9]), ("parts", [4, 9])):
        for stop in stops:
            training, model = start(tmp_path / f"{kind}.pt", settings)
            loss = lambda step, model=model: (model(batch(step)) ** 2).mean()  # noqa: E731
            pauses = {4} - {row["step"] for row in training.history}
            for step, losses in training.updates(loss, stop, pauses, bar=False):
                training.save(step, {"loss": engine.mean(losses)})
        ends[kind] = model.weight.tolist(), training.history
    assert ends["parts"] == ends["whole"]
    assert [row["step"] for row in ends["whole"][1]] == [4, 9]


def test_losses_of_many_models_at_once():
    """Their sum gives each its own gradient."""
    training, model = start()
    (pause,) = training.updates(lambda step: (model(batch(step)) ** 2)[:, 0], 5, ())
    torch.manual_seed(0)
    other = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(other.parameters(), lr=0.01)
    for step in range(5):
        optimizer.zero_grad()
        (other(batch(step)) ** 2).sum().backward()
        optimizer.step()
    assert torch.allclose(model.weight, other.weight, rtol=1e-6)
    assert [loss.shape for loss in pause[1]] == [(4,)] * 5


def test_saves_are_written_at_most_every_so_many_seconds(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    training, model = start(tmp_path / "resume.pt", every=30)
    written = []
    for step, _ in training.updates(lambda s: (model(batch(s)) ** 2).mean(), 6, range(6)):
        now[0] += 11
        training.save(step, {"x": step})
        written.append(training.step)
    # after 11, 22, 33, ... seconds; what is not written is in the next save's history
    assert written == [0, 0, 2, 2, 2, 5, 5]
    assert len(training.history) == 7
    resumed = Training(tmp_path / "resume.pt", SETTINGS, "delete it")
    assert [row["step"] for row in resumed.history] == [0, 1, 2, 3, 4, 5]
    assert resumed.state["seconds"] == 66


@pytest.mark.parametrize("key", [*SETTINGS, "new"])
def test_other_settings_are_refused(key, tmp_path):
    path = tmp_path / "resume.pt"
    training, model = start(path)
    for step, _ in training.updates(lambda s: (model(batch(s)) ** 2).mean(), 2, ()):
        training.save(step, {"x": 1.0})
    content = path.read_bytes()
    with pytest.raises(InputError, match=rf"other settings \({key}: .*, now 7\): delete it"):
        Training(path, SETTINGS | {key: 7}, "delete it")
    assert path.read_bytes() == content


def test_a_state_of_another_model_is_refused(tmp_path):
    path = tmp_path / "resume.pt"
    training, model = start(path)
    for step, _ in training.updates(lambda s: (model(batch(s)) ** 2).mean(), 2, ()):
        training.save(step, {"x": 1.0})
    model = nn.Linear(4, 1)
    with pytest.raises(InputError, match="is damaged"):
        Training(path, SETTINGS, "").begin(model, optimizers.build(SETTINGS, model.parameters()))


def test_the_mean_of_losses():
    assert engine.mean([torch.tensor(1.0), torch.tensor(2.5)]) == 1.75
    assert engine.mean([]) is None
    assert engine.shown(None).strip() == "-" and engine.shown(1.75) == "1.7500"
