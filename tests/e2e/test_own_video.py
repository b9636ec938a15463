"""docs/own-video.md: its commands, made small, on the three real films; none of them needs CSV files."""

import re
import shlex

import pytest

from tests.commands import ROOT, succeeds
from vidpred import runs
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip

PAGE = (ROOT / "docs" / "own-video.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
(COPY_FILMS,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SMALLER = {
    "--preset tiny-free": "--preset debug --model.condition none --train.epochs 1 --train.kl-anneal none "
    "--train.iterations-per-epoch 2",
    "train.evaluate": "train.evaluate --samples 1",
    "--samples 3": "--samples 1",
    "--clips 3": "--clips 1 --stored-only",
}
FOLDERS = ("films", "data/films", "runs/films", "futures", "site")


def command(words, root):
    """What the page's one command with these words prints, made small, its folders below root."""
    (text,) = [command for command in COMMANDS if words in command]
    for large, small in SMALLER.items():
        text = text.replace(large, small)
    _, _, module, *rest = shlex.split(text)
    return succeeds(module, *(root / word if word in FOLDERS else word for word in rest))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Where the films are imported and learned from."""
    root = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(root)
        exec(COPY_FILMS, {})
    printed = command("import-videos", root)
    for line in re.findall(r"^\w+\.mp4: .*$", PAGE, re.MULTILINE):
        assert line in printed
    command("train.svg --data data/films", root)
    return root


def test_a_run_is_evaluated_and_drawn(root):
    command("train.evaluate", root)
    assert runs.read_eval(root / "runs" / "films")["clips"] == 7
    command("train.generate", root)
    assert len(list((root / "futures").glob("*.gif"))) == 7


def test_the_app_opens_run_and_clips(root):
    library = Library([root / "runs" / "films"], [root / "data" / "films"])
    run = library.run("films")
    (clip, *_) = library.clips_for(run)
    assert clip.name == "carphone_pristine/1"
    predicted = predict_clip(library, run, clip, n_future=2, samples=1)
    assert predicted.futures[0].samples.shape[-3:] == (64, 64, 3)


def test_the_exported_page_shows_them(root):
    assert "wrote" in command("explorer.export", root)
    assert (root / "site" / "index.html").exists()
    assert list((root / "site" / "views").iterdir())
