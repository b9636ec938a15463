"""The exported page holds the app's own pictures and needs no server of ours."""

import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from tests.commands import fails
from vidpred.data import dance
from vidpred.errors import BadInput
from vidpred.explorer.export.live import CLIPS, DANCE_FRAMES, add_clip
from vidpred.explorer.export.runtime import FILES, add_runtime
from vidpred.explorer.export.site import _curves, export
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import first_run, predict_clip
from vidpred.explorer.ui.run_colors import COLOURS


@pytest.fixture(scope="module")
def folder(families, tmp_path_factory):
    out = tmp_path_factory.mktemp("export")
    assert export(families, out, 2, live=False) == 4  # two runs, two clips each
    return out


def test_pictures_are_the_predictions(folder, families):
    menu = json.loads((folder / "views" / "menu.json").read_text())
    assert list(menu) == list(families.runs)
    assert [name for name in menu if menu[name]["first"]] == [first_run(families.all_runs(), families).name]
    clip, path = next(iter(menu["tiny"]["views"].items()))
    value = json.loads((folder / path).read_text())
    expected = predict_clip(families, families.run("tiny"), families.clip(clip), samples=5).futures[0].samples[0]
    tile = next(tile for tile in value["tiles"] if tile["kind"] == "prediction")
    sheet, cell = value["clips"][tile["clips"][0]]
    picture = np.asarray(Image.open(folder / value["sheets"][sheet]["file"]["url"]).convert("RGB"))
    columns = value["sheets"][sheet]["columns"]
    for t, frame in enumerate(expected):
        row, column = divmod(cell + t, columns)
        assert np.array_equal(picture[row * 64 : (row + 1) * 64, column * 64 : (column + 1) * 64], frame)


def test_a_dancer_has_a_pose_for_every_frame_that_may_be_asked_for(dance_run, tmp_path):
    for t in range(DANCE_FRAMES + 10):
        dance.write_pair(dance.video_folders(tmp_path, "validate"), t, *np.full((2, 32, 64, 3), t, np.uint8))
    library = Library([dance_run], [tmp_path])
    (run,), (clip,) = library.all_runs(), library.clips.values()
    (tmp_path / CLIPS).mkdir()
    add_clip(library, clip, tmp_path)
    stored = json.loads((tmp_path / CLIPS / "0.json").read_text())
    assert stored["sheet"]["frames"] == stored["pose_sheet"]["frames"] == run.n_past + DANCE_FRAMES


def test_nothing_points_outside(folder):
    """No address of another host, and no path of this machine."""
    for file in [folder / "index.html", *folder.rglob("*.json"), *folder.rglob("*js")]:
        text = file.read_text()
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text
        assert os.path.expanduser("~") + "/" not in text
        assert "/tmp/" not in text


def test_every_place_of_the_template_is_filled_and_every_colour_defined(folder):
    page = (folder / "index.html").read_text()
    assert re.findall(r"\[\[[\w.]+\]\]", page) == []
    used = set(re.findall(r"var\((--[\w-]+)", page)) - {"--c"} | {f"--c{colour}" for colour in range(COLOURS)}
    assert used <= set(re.findall(r"(--[\w-]+)(?::|&quot;,)", page))


def test_without_npm_it_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = add_runtime(tmp_path / "runtime")
    for part in ("npm is missing", "onnxruntime-web 1.30", *FILES, str(tmp_path / "runtime")):
        assert part in line
    (tmp_path / "runtime").mkdir()
    for name in FILES:
        (tmp_path / "runtime" / name).write_bytes(b"put there by hand")
    assert add_runtime(tmp_path / "runtime") == ""


def test_a_run_that_can_continue_none_of_the_clips_is_left_out_and_named(
    families, tiny_run, dance_run, tiny_data, tmp_path
):
    said = []
    assert export(Library([tiny_run, dance_run], [tiny_data]), tmp_path, 1, live=False, warn=said.append) == 1
    menu = json.loads((tmp_path / "views" / "menu.json").read_text())
    assert list(menu) == ["tiny"] and menu["tiny"]["first"]
    assert said == ["dance can continue none of the clips: it is left out"]


def test_what_a_page_reads_at_first_is_kept_before_it_asks(folder):
    kept = json.loads(re.search(r"BEFORE = (\[.*?\]);", (folder / "sw.js").read_text())[1])
    assert {"./", "live/page.mjs", "live/fetching.mjs", "views/menu.json", "views/curves.json"} <= set(kept)
    assert all(name == "./" or (folder / name).is_file() for name in kept)  # one that is missing, and none is kept


def test_what_is_no_export_is_left_alone(folder, families, dance_run, tiny_data, tmp_path):
    (tmp_path / "mine.txt").write_text("notes")
    with pytest.raises(BadInput, match="not empty and no earlier export"):
        export(families, tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(BadInput, match="--clips must be at least 1"):
        export(families, tmp_path / "new", 0)
    assert not (tmp_path / "new").exists()
    assert export(families, folder, 2, live=False) == 4  # an earlier one is replaced
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match="none of the runs here can continue any of the clips"):
        export(Library([dance_run], [tiny_data]), folder, 2, live=False)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert "no such folder of runs" in fails("vidpred.explorer.export", tmp_path / "new", "--runs", "nowhere")


def test_curves_are_those_of_the_first_run_and_what_can_be_compared_with_it(bundled):
    value = _curves(bundled)
    drawn = [line["name"] for line in value["legend"]]
    assert first_run(bundled.all_runs(), bundled).name in drawn
    assert all("push-free" in name for name in drawn)
    assert f"{len(drawn)} of the {len(bundled.runs)} runs" in value["hint"]
