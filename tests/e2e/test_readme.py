"""The README's commands are run as they stand; only sizes and folders are made small."""

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request

import numpy as np
import pytest

from tests.commands import ROOT, run_process, succeeds
from tests.e2e.page import close
from vidpred import runs
from vidpred.checkpoint import load_model
from vidpred.data.batches import open_split
from vidpred.evaluation import score_futures
from vidpred.explorer.cli import ASSETS
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip

README = (ROOT / "README.md").read_text()
COMMANDS = [
    command.strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    for command in line.split("&&")
    if command.strip()
]
SMALLER = {
    "--train 1600 --validate 64 --test 256": "--train 4 --validate 4 --test 1",
    "--train 8000 --val 630 --test 5": "--train 24 --val 12 --test 1 --test-frames 9",
    "--train 1600 --validate 64 --test 64": "--train 4 --validate 2 --test 2",
    "--preset pose-small": "--preset pose-debug --train.epochs 1 --train.kl-anneal none --train.gif-every 1 "
    "--train.iterations-per-epoch 3",
    "--preset small-free": "--preset small-free --train.epochs 1 --train.kl-anneal none --train.iterations-per-epoch 2",
    "--preset small": "--preset debug --train.epochs 1 --train.kl-anneal none --train.gif-every 1 "
    "--train.iterations-per-epoch 3",
}


def command(*words):
    """The one README command that holds these words."""
    found = [c for c in COMMANDS if all(word in c for word in words)]
    assert len(found) == 1, found
    return found[0]


def python_code(word):
    """The one block of Python that holds a word."""
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if word in block]
    return code


def arguments(text, places):
    """Its module and arguments, made small, with folders moved."""
    for large, small in SMALLER.items():
        text = re.sub(rf"{large}(?!\S)", small, text)
    python, dash_m, module, *rest = shlex.split(text)
    assert (python, dash_m) == ("python", "-m")
    return module, [str(places.get(argument, argument)) for argument in rest]


def test_every_command_is_run_here():
    """A new command in the README needs a place in one of the tests below."""
    known = ["pip install", "python app.py", "python -m pytest", "simulate-robot", "import-bair", "train.evaluate"]
    known += ["train.svg --data data/robot", "train.svg --data data/bair", "train.generate", "train.plot"]
    known += ["torchrun", "train.prepare shard", "train.benchmark", "simulate-dance", "train.pose_cvae"]
    known += ["explorer.export", "simulate-bounce", "train.svg --data data/bounce", "train.sweep"]
    assert [c for c in COMMANDS if not any(k in c for k in known)] == []


def test_train_your_own(simulator, tmp_path):
    places = {"data/robot": tmp_path / "clips", "runs/mine": tmp_path / "run"}
    for words in (["simulate-robot"], ["python -m train.svg", "data/robot"]):
        module, rest = arguments(command(*words), places)
        succeeds(module, *rest)
    assert (tmp_path / "run" / "model.safetensors").exists()
    places |= {"data/shards": tmp_path / "shards", "runs/shared": tmp_path / "shared"}
    module, rest = arguments(command("train.prepare shard"), places)
    succeeds(module, *rest)
    assert (tmp_path / "shards" / "train" / "000000.tar").exists()
    _, rest = arguments(command("torchrun").replace("torchrun", "python -m torchrun"), places)
    done = run_process("-m", "torch.distributed.run", *rest)  # it sets signal handlers
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shared" / "model.safetensors").exists()
    assert list((tmp_path / "run" / "samples").glob("*.gif"))


def test_train_a_dancer(simulator, tmp_path):
    places = {"data/dance": tmp_path / "data", "runs/dancer": tmp_path / "run", "dances": tmp_path / "dances"}
    for words in (["simulate-dance"], ["train.pose_cvae"], ["train.generate", "data/dance"]):
        module, rest = arguments(command(*words), places)
        succeeds(module, *rest)
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert (tmp_path / "dances" / "test_0.gif").exists()


def test_train_on_bouncing_shapes(tmp_path):
    places = {"data/bounce": tmp_path / "clips", "runs/bounce": tmp_path / "run"}
    for words in (["simulate-bounce"], ["train.svg", "data/bounce"]):
        module, rest = arguments(command(*words), places)
        succeeds(module, *rest)
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_the_report_s_settings_resolve():
    module, rest = arguments(command("train.svg", "data/bair"), {})
    assert json.loads(succeeds(module, *rest, "--dry-run"))["train"]["beta_max"] == 1.0


def test_the_table_of_runs_resolves():
    module, rest = arguments(command("train.sweep"), {})
    priors = json.loads(succeeds(module, *rest, "--dry-run"))
    assert len(priors) == 12
    assert {run["train"]["seed"] for run in priors.values()} == {0, 1, 2}


def evaluated(run, tmp_path, *smaller):
    """What is bundled as a run's numbers, the cells of its row, and what the README's command prints, made small."""
    bundled = json.loads((ASSETS / "runs" / run / "eval.json").read_text())
    row = next(line for line in README.splitlines() if line.startswith(f"| `{run}`"))
    module, rest = arguments(command("train.evaluate", run), {})
    printed = json.loads(succeeds(module, *rest, *smaller, "--json", "--out", tmp_path / "eval.json").splitlines()[-1])
    return bundled, [cell.strip() for cell in row.strip("|").split("|")], printed


def test_reproduce_prints_the_table_s_numbers(tmp_path):
    """On one of its clips."""
    clips = ["test/traj_0_to_255/2"]
    shutil.copytree(ASSETS / "data/robot_push" / clips[0], tmp_path / "one" / clips[0])
    bundled, cells, one = evaluated("push-learned-cyclical", tmp_path, "--data", tmp_path / "one")
    for name, digits in (("psnr", 2), ("psnr_best", 2), ("ssim", 3)):
        assert f"{bundled[name]:.{digits}f}" in cells
        assert sum(bundled["per_clip"][name]) / bundled["clips"] == pytest.approx(bundled[name])
    assert one["per_clip"]["clip"] == clips
    for name, values in one["per_clip"].items():
        places = [bundled["per_clip"]["clip"].index(clip) for clip in clips]
        expected = [bundled["per_clip"][name][place] for place in places]
        assert values == (expected if name == "clip" else pytest.approx(expected, rel=1e-4))
    assert one["samples"] == bundled["samples"]


def test_reproduce_prints_the_dancer_s_numbers(tmp_path):
    """Of its first 20 frames: a longer horizon keeps its earlier frames."""
    bundled, cells, short = evaluated("dance-cyclical", tmp_path, "--n-future", "20")
    curve = bundled["per_frame"]["psnr"]
    numbers = [bundled["psnr"], sum(curve[:100]) / 100, sum(curve[-100:]) / 100, bundled["copy_last_psnr"]]
    assert cells[1:] == [*(f"{number:.2f}" for number in numbers), f"{bundled['ssim']:.3f}"]
    assert len(curve) == bundled["n_future"] == 629
    assert short["per_frame"]["psnr"] == pytest.approx(curve[:20], abs=1e-3)
    assert short["samples"] == bundled["samples"]


def test_the_benchmark_runs():
    module, rest = arguments(command("train.benchmark"), {})
    assert "ratio" in succeeds(module, *rest, "--samples", "2", "--n-future", "2", "--rounds", "1")


def test_pictures_and_curves(tmp_path):
    places = {name: tmp_path / name for name in ("futures", "curves.png", "dashboard.png")}
    for words in (["train.generate", "futures"], ["train.plot", "curves.png"], ["train.plot", "dashboard.png"]):
        module, rest = arguments(command(*words), places)
        succeeds(module, *rest, *(["--clips", 2] if "train.generate" in words else []))
    assert len(list((tmp_path / "futures").glob("*.gif"))) == 2
    assert (tmp_path / "curves.png").exists()
    assert (tmp_path / "dashboard.png").exists()


def test_the_page_of_plain_files(tmp_path):
    """But for the models, with which `exported_site` writes it: tracing them is slow."""
    module, rest = arguments(command("explorer.export"), {"site": tmp_path / "site"})
    one = ROOT / "assets" / "runs" / "dance-cyclical"
    assert "wrote" in succeeds(module, *rest, "--stored-only", "--clips", "1", "--runs", one)
    assert (tmp_path / "site" / "index.html").exists()


def test_the_app_serves_its_first_page(bundled_url):
    assert command("python app.py") == "python app.py"  # as the fixture starts it
    assert "vidpred" in urllib.request.urlopen(bundled_url).read().decode()


def test_a_program_asks_the_app(bundled_url, tmp_path):
    """As it stands, but for the address."""
    code = python_code("gradio_client")
    assert "http://127.0.0.1:7860" in code
    calls = code.replace("http://127.0.0.1:7860", bundled_url) + "\nnp.save('frames.npy', frames)"
    done = subprocess.run([sys.executable, "-c", calls], cwd=tmp_path, capture_output=True, text=True, check=True)
    scores, curve = map(ast.literal_eval, done.stdout.splitlines()[-2:])
    library = Library([ASSETS / "runs"], [ASSETS / "data" / "robot_push"])
    run, clip = library.run("push-free-learned-monotonic"), library.clip("traj_0_to_255/3")
    expected = predict_clip(library, run, clip, seed=7, temperature=1.5).futures[0]
    assert close(np.load(tmp_path / "frames.npy"), expected.samples[0])
    assert scores[:2] == [None, None]
    assert scores[2:] == pytest.approx(expected.scores["PSNR"][0].tolist(), abs=1e-2)
    assert curve == [row["val_psnr"] for row in runs.read_metrics(run.folder)]


def test_a_library_call_predicts_and_scores(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    exec(python_code("load_model"), {})
    clip, psnr, best = capsys.readouterr().out.split()
    clips = open_split(ASSETS / "data" / "robot_push", "test")
    model = load_model(ASSETS / "runs" / "push-free-learned-monotonic")
    scores = score_futures(model, clips, [clips.ids.index(clip)], n_past=2, n_future=10, samples=20).psnr
    assert float(psnr) == pytest.approx(scores.mean().item())
    assert float(best) == pytest.approx(scores.mean(-1).max().item())


def test_the_test_commands_are_those_that_ci_runs():
    named = {command("python -m pytest"), *re.findall(r"`(python -m pytest .*?)`", README)}
    assert sorted(named) == re.findall(r"^python -m pytest.*$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#]+?)\)|`((?:assets|docs|tests|vidpred|train)/[\w./]*)`", README))
def test_files_that_are_named_exist(path):
    assert (ROOT / "".join(path)).exists()
