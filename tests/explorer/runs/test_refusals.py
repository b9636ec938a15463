"""What a visitor reads names the run or the clips, and never where the server keeps them."""

import shutil

import pytest

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip


@pytest.fixture
def library(tiny_run, tiny_data, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "runs" / "copy")
    shutil.copytree(tiny_data, tmp_path / "clips", ignore=shutil.ignore_patterns(".packed"))
    return Library([tmp_path / "runs"], [tmp_path / "clips"])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: (root / "runs" / "copy" / runs.CONFIG).write_text("{"), "copy/config.json: not readable as JSON"),
        (lambda root: shutil.rmtree(root / "runs" / "copy"), "copy/config.json: missing; is copy a run folder?"),
        (lambda root: (root / "runs" / "copy" / runs.WEIGHTS).write_bytes(b"no"), "copy/model.safetensors: not a"),
        (lambda root: shutil.rmtree(root / "clips" / "test"), "clips"),
    ],
)
def test_files_that_were_damaged_since(library, tmp_path, damage, said):
    clip = library.clips_for(library.run("copy"))[0]
    damage(tmp_path)
    with pytest.raises(BadInput) as error:
        predict_clip(library, library.run("copy"), clip)
    assert str(error.value).startswith(said)
    assert str(tmp_path) not in str(error.value)
