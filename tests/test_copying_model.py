"""The copiers against the plain formulas, their data, and their training."""

import copy
import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from attention_dynamics.cli import InputError
from attention_dynamics.copying import (
    batched,
    data,
    evaluation,
    histories,
    many,
    model,
    training,
    ways,
)
from attention_dynamics.copying.settings import Settings

SETTINGS = Settings(6, 5, True, batch_size=8, steps=16, eval_every=5, lr=0.01)
build = partial(model.build_copier, n_vocab=6, hidden_dim=10)
MODELS = {
    "copier": lambda: model.Copier(7, 6),
    "bi": lambda: model.Copier(7, 6, bi=True),
    "uniform": lambda: model.Copier(7, 6, uniform=True),
    "no context": lambda: model.Copier(7, 6, no_context=True),
    "no bias": lambda: model.Copier(7, 6, no_bias=True),
    "one head": lambda: model.MultiHeadCopier(7, 6, 1),
    "three heads": lambda: model.MultiHeadCopier(7, 6, 3),
}


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(5)
    yield
    torch.set_default_dtype(torch.float32)


def parameters_of(layer):
    """W and b of a linear layer, b = 0 where it has none."""
    return layer.weight, layer.bias if layer.bias is not None else torch.zeros(len(layer.weight))


def plain_copier(copier, source):
    """One sequence at a time, one target position at a time, straight from the definition."""
    (w_a, b_a), (w_c, b_c), (w, b), (w_o, b_o) = (
        parameters_of(getattr(copier, name)) for name in ("query", "context", "combine", "output")
    )
    logits, alphas = [], []
    for sequence in source:
        states, (h, c) = copier.encoder(copier.embedding(sequence)[:, None])
        states = states[:, 0]
        state = (h.mean(dim=0)[None], c.mean(dim=0)[None])
        for t in range(len(sequence)):
            token = sequence[t - 1] if t > 0 else torch.tensor(copier.n_vocab + 1)  # <s>
            d, state = copier.decoder(copier.embedding(token)[None, None], state)
            d = d[0, 0]
            a = torch.stack([(w_a @ d + b_a) @ h_s for h_s in states])
            alpha = (0 * a if copier.uniform else a).softmax(0)
            context = w_c @ sum(p * h_s for p, h_s in zip(alpha, states)) + b_c
            if copier.no_context:
                context = 0 * context
            logits.append(w_o @ torch.tanh(w @ torch.cat([d, context]) + b) + b_o)
            alphas.append(alpha)
    shape = (*source.shape, -1)
    return torch.stack(logits).reshape(shape), torch.stack(alphas).reshape(shape)


def plain_multihead(copier, source):
    logits, alphas = [], []
    for sequence in source:
        states, state = copier.encoder(copier.source_embedding(sequence)[:, None])
        states = states[:, 0]
        for t in range(len(sequence)):
            token = sequence[t - 1] if t > 0 else torch.tensor(copier.n_vocab + 1)  # <s>
            d, state = copier.decoder(copier.target_embedding(token)[None, None], state)
            d = d[0, 0]
            contexts = []
            for head in copier.heads:
                a = torch.stack([(head.query.weight @ d + head.query.bias) @ h_s for h_s in states])
                alphas.append(a.softmax(0))
                summed = sum(p * h_s for p, h_s in zip(alphas[-1], states))
                contexts.append(head.context.weight @ summed + head.context.bias)
            context = sum(contexts) / len(contexts)
            both = torch.cat([context, d])
            combined = torch.tanh(copier.combine.weight @ both + copier.combine.bias)
            logits.append(copier.output.weight @ combined + copier.output.bias)
    shape = (*source.shape, len(copier.heads), -1)
    return torch.stack(logits).reshape(*source.shape, -1), torch.stack(alphas).reshape(shape)


def with_eos(sequences, n_vocab):
    return F.pad(sequences, (0, 1), value=n_vocab)


class TestModels:
    @pytest.mark.parametrize("length", [1, 5])
    @pytest.mark.parametrize("name", MODELS)
    def test_equals_the_definition(self, name, length):
        copier = MODELS[name]()
        source = with_eos(torch.randint(7, (3, length)), 7)
        plain = plain_multihead if "head" in name else plain_copier
        logits, alpha = plain(copier, source)
        output = copier(source)
        torch.testing.assert_close(output.logits, logits)
        torch.testing.assert_close(output.alpha, alpha)

    @pytest.mark.parametrize("length", [1, 5])
    @pytest.mark.parametrize("name", MODELS)
    def test_stepwise_equals_fused(self, name, length):
        copier = MODELS[name]()
        source = with_eos(torch.randint(7, (3, length)), 7)
        weights = torch.rand(3, length + 1, 9)
        results = []
        for fused in (True, False):
            copier.fused = fused
            output = copier(source)
            loss = (output.logits * weights).sum() + output.alpha.square().sum()
            names, parameters = zip(*copier.named_parameters())
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            results.append([*output, *(g for g in gradients if g is not None)])
        # all but the query of uniform attention, and query and context where none is used
        assert len(results[0]) >= len(names) - 2
        for fused, plain in zip(*results):
            torch.testing.assert_close(plain, fused)

    @pytest.mark.parametrize("name", MODELS)
    def test_many_models_as_one(self, name):
        models = [MODELS[name]() for _ in range(3)]
        for each in models:
            each.fused = False
        sources = torch.randint(7, (3, 4, 6))
        stacked, _ = torch.func.stack_module_state(models)

        def run(parameters, source):
            output = torch.func.functional_call(models[0], parameters, (source,))
            return output, evaluation.accuracies(output, source, 5)

        output, measured = torch.vmap(run)(stacked, sources)
        for number, (each, source) in enumerate(zip(models, sources)):
            alone = each(source)
            torch.testing.assert_close(output.logits[number], alone.logits)
            torch.testing.assert_close(output.alpha[number], alone.alpha)
            for key, value in evaluation.accuracies(alone, source, 5).items():
                assert torch.equal(measured[key][number], value)

    def test_uniform_attention_sees_a_bag_of_words(self):
        copier = model.Copier(7, 6, uniform=True)
        alpha = copier(torch.randint(7, (2, 5))).alpha
        torch.testing.assert_close(alpha, torch.full((2, 5, 5), 0.2))

    def test_the_token_to_copy_is_not_an_input(self):
        """Tokens that come later in the target are not seen; those of the source are."""
        copier = model.MultiHeadCopier(7, 6, 2)
        source = torch.tensor([[1, 2, 3, 4]])
        inputs = model.shifted(source, 8)
        assert inputs.tolist() == [[8, 1, 2, 3]]
        assert copier(source).logits.shape == (1, 4, 9)

    def test_a_seed_gives_the_same_weights(self):
        before = torch.get_rng_state()
        first, again, other = build(3), build(3), build(4)
        assert torch.equal(torch.get_rng_state(), before)
        for name, weight in first.state_dict().items():
            assert torch.equal(weight, again.state_dict()[name])
            assert not torch.equal(weight, other.state_dict()[name])

    def test_small_embeddings(self):
        """Scaled alone: all other weights are those of the seed."""
        default, small = build(0).state_dict(), build(0, embedding_std=0.02).state_dict()
        torch.testing.assert_close(
            small.pop("embedding.weight"), 0.02 * default["embedding.weight"]
        )
        for name, weight in small.items():
            assert torch.equal(weight, default[name]), name

    def test_heads_are_the_same_in_any_combination(self):
        one = model.build_multihead(0, (5,), 7, 6)
        many = model.build_multihead(0, (2, 8, 5), 7, 6)
        for name, weight in one.state_dict().items():
            assert torch.equal(weight, many.state_dict()[name.replace("heads.0", "heads.2")])
        other = model.build_multihead(1, (5,), 7, 6)
        assert torch.equal(other.heads[0].query.weight, one.heads[0].query.weight)
        assert not torch.equal(other.output.weight, one.output.weight)
        assert not torch.equal(many.heads[0].query.weight, many.heads[1].query.weight)


def draw(seed, step, batch, length, n_vocab, no_rep, **others):
    settings = Settings(n_vocab, length, no_rep, batch, **others)
    return data.training_batch(settings, seed, step).numpy()


class TestParameterCounts:
    """At the published sizes."""

    V, H = 40, 256

    def test_copier(self):
        embedding = (self.V + 2) * self.H
        lstm = 4 * self.H * (self.H + self.H + 2)  # W_ih, W_hh and their biases, of four gates
        attention = 2 * (self.H * self.H + self.H)  # W_a, b_a, W_c, b_c
        output = 2 * self.H * self.H + self.H + self.H * (self.V + 2) + self.V + 2
        expected = embedding + 2 * lstm + attention + output
        assert expected == 1_337_130
        copier = model.build_copier(0, n_vocab=self.V, hidden_dim=self.H)
        assert sum(p.numel() for p in copier.parameters()) == expected

    @pytest.mark.parametrize(("heads", "number"), [(1, 1_084_714), (8, 2_005_802)])
    def test_heads(self, heads, number):
        embeddings = 2 * (self.V + 2) * self.H
        gru = 3 * self.H * (self.H + self.H + 2)
        attention = heads * 2 * (self.H * self.H + self.H)
        output = 2 * self.H * self.H + self.H + self.H * (self.V + 2) + self.V + 2
        assert embeddings + 2 * gru + attention + output == number
        copier = model.build_multihead(0, tuple(range(heads)), self.V, self.H)
        assert sum(p.numel() for p in copier.parameters()) == number


class TestData:
    def test_without_repetition(self):
        batch = draw(3, 8, 50, 7, 9, True)
        assert batch.shape == (50, 8) and batch.dtype == np.int64
        assert (batch[:, -1] == 9).all()  # </s>
        assert all(len(set(row)) == 8 for row in batch.tolist())
        assert batch[:, :-1].min() == 0 and batch[:, :-1].max() == 8
        permutations = draw(3, 8, 50, 9, 9, True)
        assert (np.sort(permutations, axis=1) == np.arange(10)).all()
        assert len(set(map(tuple, permutations.tolist()))) == 50

    def test_the_control_without_eos(self):
        batch = draw(3, 8, 50, 9, 9, True, no_eos=True)
        np.testing.assert_array_equal(batch, draw(3, 8, 50, 9, 9, True)[:, :-1])

    def test_every_permutation_is_as_likely(self):
        rows = draw(0, 0, 12000, 3, 3, True)
        _, counts = np.unique(rows, axis=0, return_counts=True)
        assert len(counts) == 6
        assert abs(counts - 2000).max() < 4 * math.sqrt(2000)

    def test_with_repetition(self):
        batch = draw(3, 8, 50, 12, 4, False)
        assert batch.shape == (50, 13) and batch.dtype == np.int64
        assert set(batch[:, :-1].flatten().tolist()) == {0, 1, 2, 3}

    @pytest.mark.parametrize("no_rep", [True, False])
    def test_a_function_of_seed_and_step(self, no_rep):
        batches = [draw(s, t, 4, 9, 9, no_rep) for s in range(3) for t in range(3)]
        settings = Settings(9, 9, no_rep, 4)
        held_out = data.evaluation_batch(settings).numpy()
        assert held_out.shape == (400, 10)
        batches.append(held_out[:4])
        assert len({batch.tobytes() for batch in batches}) == 10
        np.testing.assert_array_equal(draw(1, 2, 4, 9, 9, no_rep), batches[5])
        # one fixed set for all models, whatever they train on
        np.testing.assert_array_equal(data.evaluation_batch(settings), held_out)


class TestAccuracies:
    @pytest.mark.parametrize("length", [6, 5])  # with </s>, and without
    def test_against_a_count(self, length):
        rng = np.random.default_rng(0)
        """Token accuracy is over all positions, attention accuracy over those before </s>."""
        source = torch.from_numpy(rng.integers(4, size=(6, length)))
        logits = torch.from_numpy(rng.random((6, length, 4)))
        alpha = torch.from_numpy(rng.random((6, length, 3, length)))  # of three heads
        counts = dict.fromkeys(histories.COLUMNS[2:], 0)
        counts["attention_accuracy_heads"] = np.zeros(3)
        for b in range(6):
            for t in range(length):
                counts["token_accuracy"] += int(logits[b, t].argmax() == source[b, t])
                for head in range(3 if t < 5 else 0):
                    offset = int(alpha[b, t, head].argmax()) - t
                    key = {0: "", -1: "_before", 1: "_after"}.get(offset)
                    if key is not None:
                        counts["attention_accuracy" + key] += 1
                    counts["attention_accuracy_heads"][head] += offset == 0
        sizes = [6 * length, 6 * 5 * 3, 6 * 4 * 3, 6 * (length - 1) * 3, 6 * 5]
        measured = evaluation.accuracies(model.Output(logits, alpha), source, 5)
        assert list(measured) == list(counts)
        for (key, count), size in zip(counts.items(), sizes):
            assert np.sum(count) > 0
            np.testing.assert_allclose(measured[key], count / size)

    def test_one_head_needs_no_dimension(self):
        alpha = torch.rand(6, 5, 5)
        source, logits = torch.randint(4, (6, 5)), torch.rand(6, 5, 4)
        plain = evaluation.accuracies(model.Output(logits, alpha), source, 4)
        with_heads = model.Output(logits, alpha[:, :, None])
        assert plain == evaluation.accuracies(with_heads, source, 4)

    def test_length_one(self):
        source = torch.randint(4, (6, 2))
        alpha = torch.tensor([[1.0, 0], [0, 1]]).expand(6, 2, 2)
        measured = evaluation.accuracies(model.Output(torch.rand(6, 2, 4), alpha), source, 1)
        assert measured["attention_accuracy"] == 1 and measured["attention_accuracy_after"] == 0
        assert measured["attention_accuracy_before"].isnan()


def plain_training(copier, steps):
    """The training loop again, and what it measures at the end."""
    optimizer = torch.optim.Adam(copier.parameters(), lr=SETTINGS.lr)
    losses = []
    for step in range(steps):
        source = torch.from_numpy(draw(4, step, 8, 5, 6, True))
        log_probs = copier(source).logits.log_softmax(2)
        loss = -log_probs.gather(2, source[:, :, None]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, evaluation.evaluate(copier, SETTINGS, data.evaluation_batch(SETTINGS))


class TestTraining:
    @pytest.mark.parametrize(("first", "steps"), [(0, [0, 5, 10, 15]), (1, [1, 6, 11, 16])])
    def test_history(self, first, steps):
        """Before updates 0, 5, 10, as multihead.py; after updates 1, 6, 11, as seq2seq.py."""
        settings = dataclasses.replace(SETTINGS, first_eval=first)
        history = training.train(build(1), settings, 4)
        assert list(history) == list(histories.COLUMNS)
        assert history["step"] == steps
        losses, measured = plain_training(build(1), steps[-1])
        assert math.isnan(history["loss"][0]) == (first == 0)
        expected = [np.mean(losses[a:b]) for a, b in zip([0, *steps], steps) if a < b]
        np.testing.assert_allclose(history["loss"][-len(expected) :], expected, rtol=1e-9)
        for key, value in measured.items():
            assert history[key][-1] == pytest.approx(value)
        assert histories.is_history(history)

    def test_it_learns(self):
        settings = Settings(6, 5, True, batch_size=32, steps=101, eval_every=50, lr=0.02)
        history = training.train(model.build_copier(0, n_vocab=6, hidden_dim=24), settings, 0)
        assert history["token_accuracy"][0] < 0.4 and history["token_accuracy"][-1] > 0.95
        assert histories.learned_at(history) in history["step"][1:]
        assert histories.learned_at(history, 1.0) is None

    def test_a_stop_rule(self):
        whole = training.train(build(1), SETTINGS, 4)
        seen = []

        def stop(history):
            seen.append(history["step"][-1])
            return history["step"][-1] >= 5

        stopped = training.train(build(1), SETTINGS, 4, stop)
        assert seen == stopped["step"] == [0, 5]
        for column in histories.COLUMNS[1:]:
            np.testing.assert_array_equal(stopped[column], whole[column][:2])

    @pytest.mark.parametrize("when", [0, 5])
    def test_resuming_from_an_evaluation(self, monkeypatch, tmp_path, when):
        monkeypatch.setattr(training, "SAVE_AFTER", -1)
        path = tmp_path / "state.pt"
        whole = training.train(build(1), SETTINGS, 4)

        def stop(history):  # before the state of the next evaluation is saved
            if history["step"][-1] > when:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            training.train(build(1), SETTINGS, 4, stop, path, {"name": 1})
        other = build(2)  # its weights are replaced
        resumed = training.train(other, SETTINGS, 4, None, path, {"name": 1})
        np.testing.assert_equal(resumed, whole)

    def test_the_state_is_not_written_at_every_evaluation(self, tmp_path):
        path = tmp_path / "state.pt"
        training.train(build(1), SETTINGS, 4, None, path)
        assert not path.exists()

    @pytest.mark.slow
    def test_resuming_with_the_threads_of_the_interrupted_training(self, monkeypatch, tmp_path):
        """Other models then have the number that they had."""
        monkeypatch.setattr(training, "SAVE_AFTER", -1)
        path = tmp_path / "state.pt"
        before, seen = torch.get_num_threads(), []

        def stop(history):
            seen.append(torch.get_num_threads())
            if len(seen) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            training.train(build(1), SETTINGS, 4, stop, path)
        torch.save(torch.load(path) | {"threads": before + 1}, path)
        training.train(build(1), SETTINGS, 4, stop, path)
        assert seen == [before, before, before + 1, before + 1]
        assert torch.get_num_threads() == before

    @pytest.mark.parametrize("change", [{"optimizer": "sgd"}, {"lr": 0.02}, {"version": 0}])
    def test_what_a_state_is_identified_by(self, monkeypatch, tmp_path, change):
        monkeypatch.setattr(training, "SAVE_AFTER", -1)
        path = tmp_path / "state.pt"
        training.train(build(1), SETTINGS, 4, None, path)
        ((key, value),) = change.items()
        words = f"{key}: {getattr(SETTINGS, key)}, now {value}"
        with pytest.raises(InputError, match=words):
            training.train(build(1), dataclasses.replace(SETTINGS, **change), 4, None, path)

    def test_another_optimizer(self):
        settings = dataclasses.replace(SETTINGS, optimizer="sgd", first_eval=1, steps=1)
        model_, plain = build(1), build(1)
        training.train(model_, settings, 4)
        source = data.training_batch(settings, 4, 0)
        model.nll(plain(source).logits, source).backward()
        for trained, parameter in zip(model_.parameters(), plain.parameters()):
            torch.testing.assert_close(trained, parameter - settings.lr * parameter.grad)

    def test_a_state_of_something_else(self, monkeypatch, tmp_path):
        monkeypatch.setattr(training, "SAVE_AFTER", -1)
        path = tmp_path / "state.pt"
        training.train(build(1), SETTINGS, 4, None, path, {"lr": 1})
        with pytest.raises(InputError, match="lr: 1, now 2"):
            training.train(build(1), SETTINGS, 4, None, path, {"lr": 2})
        torch.save({"settings": {"lr": 1}}, path)
        with pytest.raises(InputError, match="damaged"):
            training.train(build(1), SETTINGS, 4, None, path, {"lr": 1})
        path.write_bytes(b"")
        with pytest.raises(InputError, match="damaged"):
            training.train(build(1), SETTINGS, 4, None, path, {"lr": 1})

    def test_is_history(self):
        good = {column: [1, 2.0] for column in histories.COLUMNS}
        assert not histories.is_history(good)  # attention of each head is a list
        good["attention_accuracy_heads"] = [[1, 0.5], [1, 0]]
        assert histories.is_history(good)
        for change in ({"attention_accuracy_heads": [[1, "b"], []]}, {"loss": [[1.0], [2.0]]}):
            assert not histories.is_history(good | change)
        for change in ({"loss": [1.0]}, {"loss": "ab"}, {"loss": [1.0, "b"]}, {"more": [1, 2]}):
            assert not histories.is_history(good | change)
        assert not histories.is_history({column: [] for column in histories.COLUMNS})
        assert not histories.is_history([good])


def tasks(count):
    return {f"seed{seed}": many.Task(partial(build, seed), seed) for seed in range(count)}


class TestManyModels:
    def train(self, folder, count=3, jobs=1, context=None, **options):
        with ways.way_of_training("cpu", "separate", jobs, count) as way:
            return many.train_all(
                tasks(count), SETTINGS, way, folder, context or {"hidden_dim": 10}, **options
            )

    def test_each_as_if_alone(self, tmp_path):
        named = []
        histories = self.train(tmp_path, finished=lambda name, history: named.append(name))
        assert list(histories) == named == ["seed0", "seed1", "seed2"]
        for seed, history in enumerate(histories.values()):
            np.testing.assert_equal(history, training.train(build(seed), SETTINGS, seed))
        assert {path.name for path in tmp_path.iterdir()} == {f"seed{s}.pkl" for s in range(3)}

    def test_what_is_there_is_not_trained_again(self, tmp_path):
        first = self.train(tmp_path, 2)
        named = []
        histories = self.train(tmp_path, finished=lambda name, history: named.append(name))
        assert named == ["seed2"]
        np.testing.assert_equal({name: histories[name] for name in first}, first)

    def test_a_part_of_something_else(self, tmp_path):
        self.train(tmp_path, 1)
        with pytest.raises(InputError, match="hidden_dim: 10, now 12"):
            self.train(tmp_path, 1, context={"hidden_dim": 12})
        (tmp_path / "seed0.pkl").write_bytes(b"no pickle")
        with pytest.raises(InputError, match=r"seed0\.pkl"):
            self.train(tmp_path, 1)
        (tmp_path / "seed0.pkl").write_bytes(b"\x80\x05]\x94.")  # an empty list
        with pytest.raises(InputError, match=r"seed0\.pkl is damaged"):
            self.train(tmp_path, 1)

    def test_batched_models_are_sent_in_groups(self, tmp_path, monkeypatch):
        """The seam to the module that trains many models as one."""
        groups = []

        def train(models, seeds, settings, device, stop):
            groups.append(seeds)
            assert device.type == "cpu" and stop is None
            copies = copy.deepcopy(models)
            histories = [training.train(m, settings, s) for m, s in zip(copies, seeds)]
            yield from reversed(list(enumerate(histories)))  # in any order

        monkeypatch.setattr(batched, "train", train)
        monkeypatch.setattr(ways, "BATCHED_MODELS", 2)
        with ways.way_of_training("cpu", "batched", 4, 3) as way:
            assert way.batched and way.pool is None
            histories = many.train_all(tasks(3), SETTINGS, way, tmp_path / "a", {})
        assert groups == [[0, 1], [2]]
        np.testing.assert_equal(
            histories, self.train(tmp_path / "b", context={"unlike": "the first"})
        )

    def test_the_way_is_chosen_by_device(self):
        with ways.way_of_training("cpu", "auto", 1, 5) as way:
            assert not way.batched
        with pytest.raises(InputError, match="--device tpu"):
            ways.way_of_training("tpu", "auto", 1, 5).__enter__()

    def test_the_way_on_a_gpu(self, monkeypatch):
        monkeypatch.setattr(ways.cli, "find_device", lambda name: torch.device("cuda"))
        for way, jobs, as_one in (
            ("auto", None, True),
            ("batched", 4, True),
            ("separate", None, False),
        ):
            with ways.way_of_training(None, way, jobs, 5) as chosen:
                assert chosen.batched == as_one and chosen.pool is None


def test_loss_is_that_of_every_token():
    logits, source = torch.rand(3, 4, 5), torch.randint(5, (3, 4))
    expected = F.cross_entropy(logits.transpose(1, 2), source)
    torch.testing.assert_close(model.nll(logits, source), expected)
