"""Data flows one way: imports run downwards only."""

import ast
from pathlib import Path

import pytest

from train.benchmark.__main__ import COMMANDS

ROOT = Path(__file__).parent.parent
PACKAGES = ("vidpred", "vidpred.explorer")  # hold nothing themselves

TABS = ("predict", "compare", "training", "drive", "latents", "your_data", "findings", "learn")
LAYERS = [
    {"vidpred.errors"},
    {"vidpred.files", "vidpred.clip", "vidpred.frames", "vidpred.randomness", "vidpred.config", "vidpred.processes"},
    {"vidpred.presets", "vidpred.schedules", "vidpred.lock"},
    {"vidpred.data", "vidpred.models", "vidpred.simulate"},  # none of them knows another
    {"vidpred.losses", "vidpred.metrics", "vidpred.runs", "vidpred.render", "vidpred.plots"},
    {"vidpred.checkpoint", "vidpred.perceptual"},
    {"vidpred.rollout", "vidpred.hub", "vidpred.foreign"},
    {"vidpred.onnx_graphs"},
    {"vidpred.evaluation", "vidpred.latents"},
    {"vidpred.onnx_export"},
    {"vidpred.training"},
    {"train", "vidpred.explorer.runs", "vidpred.explorer.cli"},
    {"vidpred.explorer.ui"},  # what draws
    {"vidpred.explorer.server"},  # what answers
    {f"vidpred.explorer.{name}" for name in ("export", *TABS)},
    {"vidpred.explorer.page"},
    {"vidpred.explorer.__main__"},  # starts it
    {"app"},
]
APART = [  # none of these knows another of its line
    {"vidpred.data", "vidpred.models", "vidpred.simulate"},
    {"train", "vidpred.explorer"},
    {"vidpred.training", "vidpred.explorer"},
    {"vidpred.explorer.runs", "vidpred.explorer.cli"},
    {f"vidpred.explorer.{name}" for name in ("export", *TABS)},
]
WITHOUT_GRADIO = ("vidpred.explorer.runs", "vidpred.explorer.cli")


def modules():
    files = [*ROOT.glob("app.py"), *(ROOT / "vidpred").rglob("*.py"), *(ROOT / "train").rglob("*.py")]
    for file in files:
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name not in PACKAGES:
            yield name, file


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name, place):
    return name == place or name.startswith(place + ".")


def room(name):
    """(layer, room) of a module, or None for other packages."""
    for number, layer in enumerate(LAYERS):
        for place in layer:
            if inside(name, place):
                return number, place
    return None


def keep_apart(name, target):
    """Whether one of two modules may not know the other."""
    for rooms in APART:
        own, other = (next((place for place in rooms if inside(module, place)), None) for module in (name, target))
        if own and other and own != other:
            return True
    return False


@pytest.mark.parametrize(("name", "file"), modules())
def test_imports_run_downwards(name, file):
    own = room(name)
    assert own is not None, f"{name} stands in no layer"
    for target in imported(file):
        if not target.startswith(("vidpred.", "train.", "app", "tests")):
            continue
        other = room(target)
        assert other is not None, f"{name} imports {target}, which stands in no layer"
        if own[1] != other[1]:
            assert other[0] <= own[0], f"{name} imports {target}: upwards"
        assert not keep_apart(name, target), f"{name} imports {target}"


@pytest.mark.parametrize("package", ["gradio"])
def test_only_the_explorer_knows_gradio(package):
    users = [name for name, file in modules() if any(t.split(".")[0] == package for t in imported(file))]
    assert [name for name in users if name != "app" and not inside(name, "vidpred.explorer")] == []
    assert [name for name in users if any(inside(name, place) for place in WITHOUT_GRADIO)] == []


def test_only_training_has_an_optimizer():
    """Nothing else moves weights; two of the benchmarks stand for what is published."""
    users = {name for name, file in modules() if "torch.optim" in file.read_text()}
    published = {"train.benchmark.training_step", "train.benchmark.published"}
    assert {name for name in users if not name.startswith("vidpred.training.")} == published


def test_no_benchmark_imports_another():
    """A command is a file over the harness, so that adding one touches no other."""
    commands = tuple(f"train.benchmark.{command.__name__}" for command in COMMANDS)
    for name, file in modules():
        if name in commands:
            assert not [target for target in imported(file) if target.startswith(commands)], name
