"""The code in docs/notebook.md and in the notebook runs as it stands, on small toy runs."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from conftest import ROOT, call_script, copy_source, write_json, write_list

pytestmark = pytest.mark.slow  # whole stages

RUNS = [("Normal_A", 20, False), ("Normal_B", 13, False), ("uniform", 12, True)]
SIZES = {
    "classification": {"h_dim": 16, "intermediate_dim": 8, "embed_dim": 256, "b_size": 32},
    "translation": {"h_dim": 8, "dropout": 0.5, "n_layers": 1, "b_size": 64},
}
TRAIN = {
    "classification": ["train_classifier.py", "--steps", "21"],
    "translation": ["train_translation.py", "--epochs", "1"],
}
DOCS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs" / "notebook.md").read_text(), re.MULTILINE | re.DOTALL
)
NOTEBOOK = json.loads((ROOT / "notebooks" / "attention.ipynb").read_text())


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """What the quick start leaves, of models so small that it takes a moment."""
    root = tmp_path_factory.mktemp("root")
    copy_source(root, "classification", "translation")
    for task, sizes in SIZES.items():
        configs = root / task / "configs"
        for name in ("model.json", "toy_model.json"):
            write_json(configs / name, sizes)
        write_list(configs / "toy.json", (0, 10, 20), RUNS)
    return root


@pytest.fixture
def trained(root, capsys) -> Path:
    """The same, trained and evaluated by the first test that needs it."""
    stages = []
    for task, (script, *steps) in TRAIN.items():
        stages.append((task, "prepare_data.py"))
        for _, seed, uniform in RUNS:
            flags = ["--seed", seed, "--save_every", 10, *["--uniform"] * uniform]
            stages.append((task, script, *steps, *flags))
    stages += [
        ("classification", "eval_dump.py"),
        ("classification", "embedding_beta.py", "--epochs", 1),
    ]
    if not (root / "classification" / "outputs" / "toy_stats.pkl").exists():
        for task, script, *flags in stages:
            result = call_script(
                str(root / task), script, "--dataset", "toy", *flags, capsys=capsys
            )
            assert result[0] == 0, result
        flags = ["--datasets", "toy", "--out_file", root / "classification/outputs/toy_stats.pkl"]
        script = "collect_classification_stats.py"
        assert call_script(str(root / "classification"), script, *flags, capsys=capsys)[0] == 0
    return root


def test_docs_have_the_snippets():
    assert len(DOCS) == 4
    assert all(len(block.splitlines()) <= 20 for block in DOCS)


@pytest.mark.parametrize(
    "block", DOCS, ids=["classification", "translation", "model", "transformers"]
)
def test_snippets_run_in_the_root(trained, monkeypatch, capsys, block):
    if "transformers" in block and importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    monkeypatch.chdir(trained)
    exec(compile(block, "docs/notebook.md", "exec"), {})
    assert capsys.readouterr().out


def test_notebook_runs(trained, monkeypatch, capsys):
    monkeypatch.setenv("ATTENTION_DYNAMICS", str(trained))
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict = {}
    for number, cell in enumerate(NOTEBOOK["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    assert "A(α, β^uf)" in capsys.readouterr().out


def test_notebook_shows_its_output():
    """It was run from the top, without errors, and is small."""
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not any(output["output_type"] == "error" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    assert not re.search(r"/(home|root|work|tmp)/", json.dumps(NOTEBOOK))
    assert (ROOT / "notebooks" / "attention.ipynb").stat().st_size < 300_000
