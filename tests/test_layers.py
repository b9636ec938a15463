"""Data flows one way: imports run downwards only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = [
    {"vidpred.errors"},
    {"vidpred.files", "vidpred.clip", "vidpred.frames", "vidpred.randomness", "vidpred.config", "vidpred.processes"},
    {"vidpred.presets", "vidpred.schedules"},
    {"vidpred.data", "vidpred.models", "vidpred.simulate"},  # none of them knows another
    {"vidpred.losses", "vidpred.metrics", "vidpred.runs", "vidpred.render", "vidpred.plots"},
    {"vidpred.checkpoint"},
    {"vidpred.rollout", "vidpred.hub"},
    {"vidpred.evaluation", "vidpred.latents"},
    {"vidpred.training"},
    {"train", "vidpred.explorer"},
    {"app"},
]
APART = [("vidpred.data", "vidpred.models"), ("vidpred.data", "vidpred.simulate")]
APART += [("vidpred.models", "vidpred.simulate")]
APART += [("vidpred.explorer", "vidpred.training"), ("vidpred.explorer", "train"), ("train", "vidpred.explorer")]


def modules():
    files = [*ROOT.glob("app.py"), *(ROOT / "vidpred").rglob("*.py"), *(ROOT / "train").rglob("*.py")]
    for file in files:
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name != "vidpred":
            yield name, file


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name):
    """(layer, room) of a module, or None for other packages."""
    for number, layer in enumerate(LAYERS):
        for place in layer:
            if name == place or name.startswith(place + "."):
                return number, place
    return None


@pytest.mark.parametrize(("name", "file"), modules())
def test_imports_run_downwards(name, file):
    own = room(name)
    assert own is not None, f"{name} stands in no layer"
    for target in imported(file):
        if not target.startswith(("vidpred.", "train.", "app", "tests")) or target in ("vidpred",):
            continue
        other = room(target)
        assert other is not None, f"{name} imports {target}, which stands in no layer"
        if own[1] != other[1]:
            assert other[0] <= own[0], f"{name} imports {target}: upwards"
            assert (own[1], other[1]) not in APART and (other[1], own[1]) not in APART[:3], f"{name} imports {target}"


@pytest.mark.parametrize("package", ["gradio"])
def test_only_the_explorer_knows_gradio(package):
    users = [name for name, file in modules() if any(t.split(".")[0] == package for t in imported(file))]
    assert all(name == "app" or name.startswith("vidpred.explorer") for name in users), users
