"""`train.prepare import-videos`: whole films per split, odd files, resumption. tests/e2e/test_own_video.py goes on."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.commands import run
from tests.films import ffmpeg, make_film
from train.prepare import import_videos
from train.prepare.film_record import ImportedFilm, Record, choose_splits
from vidpred.data.layout import SPLITS
from vidpred.data.robot_push import list_clips, list_frames
from vidpred.explorer.runs.library import Library


def imports(*words):
    """Exit code, what is said on stdout, and the lines on stderr that are no progress bar's."""
    done = run("train.prepare", "import-videos", *words)
    lines = [line.strip() for line in done.stderr.splitlines()]
    return done.returncode, done.stdout, [line for line in lines if line and "%|" not in line and "frame/s" not in line]


def refuses(*words):
    code, _, lines = imports(*words)
    assert code == 2 and len(lines) == 1, lines
    return lines[0]


def contents(root):
    files = [path for path in root.rglob("*") if path.is_file() and ".packed" not in path.parts]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four films, one of them in a folder of its own and one a GIF."""
    root = tmp_path_factory.mktemp("films")
    (root / "more").mkdir()
    make_film(root / "one.mp4", frames=70)
    make_film(root / "two two.mkv", frames=33, start=3)
    make_film(root / "more" / "one.mp4", frames=40, start=5)
    make_film(root / "b.gif", frames=24, start=7)
    return root


@pytest.fixture(scope="module")
def imported(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("imported") / "out"
    assert imports(folder, out, "--frames", 12)[0] == 0
    return out


def test_films_become_clips_of_whole_splits(imported):
    groups = {split: {clip.parent.name for clip in list_clips(imported, split)} for split in SPLITS}
    assert sorted(group for found in groups.values() for group in found) == ["b", "one", "one_2", "two_two"]
    assert "one" in groups["train"] or "one_2" in groups["train"]
    counts = {
        clip.parent.name: len(list(clip.parent.iterdir())) for split in SPLITS for clip in list_clips(imported, split)
    }
    assert sorted(counts.values()) == [2, 2, 3, 5]  # of 24, 33, 40 and 70 frames
    for split in SPLITS:
        for clip in list_clips(imported, split):
            assert {path.name for path in clip.iterdir()} == {*(f"{t}.png" for t in range(12)), "film.json"}
            assert len(list_frames(clip)) == 12


def test_a_contact_sheet_shows_first_middle_and_last_frames(imported):
    with Image.open(imported / "contact.png") as sheet:
        assert sheet.height == 4 * (import_videos.CELL + import_videos.LINE + import_videos.GAP)
        first = np.asarray(sheet)[import_videos.LINE :, : import_videos.CELL][: import_videos.CELL]
    films = json.loads((imported / "films.json").read_text())["films"]
    film = min((film for film in films if film["split"] == "train"), key=lambda film: film["name"])
    with Image.open(imported / "train" / film["group"] / "1" / "0.png") as frame:
        assert np.array_equal(np.asarray(frame), first)


def test_an_interrupted_import_goes_on_to_the_same_bytes(folder, imported, tmp_path, monkeypatch):
    """Ctrl-C in the middle of the third film; what was read before is not read again."""
    out, written, write_clip = tmp_path / "out", [], import_videos.write_clip

    def write_or_stop(clip, *rest, **options):
        written.append(clip)
        if len(written) == 9:
            raise KeyboardInterrupt
        write_clip(clip, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(import_videos, "write_clip", write_or_stop)
        assert imports(folder, out, "--frames", 12)[0] == 130
    assert not (out / "train").exists()
    monkeypatch.setattr(import_videos, "write_clip", lambda *a, **o: (written.append(a[0]), write_clip(*a, **o)))
    assert imports(folder, out, "--frames", 12)[0] == 0
    assert len(written) < 9 + 12  # not all twelve again
    assert contents(out) == contents(imported)
    assert not (out / ".films").exists()


def test_more_films_later_change_nothing_that_is_there(folder, imported, tmp_path):
    out = tmp_path / "out"
    code, printed, _ = imports(folder / "one.mp4", out, "--frames", 12)
    assert code == 0 and "One film is all training" in printed
    code, printed, _ = imports(folder / "two two.mkv", out, "--frames", 12)
    assert code == 0 and "Two films, one to train and one to validate" in printed
    assert {clip.root for clip in Library([], [out]).clips.values()} == {
        out.resolve()
    }  # the app shows those to validate
    before = contents(out)
    code, printed, _ = imports(folder, out, "--frames", 12)
    assert code == 0 and "Two films" not in printed
    after = contents(out)
    same = {name for name in before if name not in ("films.json", "contact.png")}
    assert all(after[name] == before[name] for name in same)
    assert {(out / split).is_dir() for split in SPLITS} == {True}
    assert imports(folder, out, "--frames", 12)[0] == 0
    assert contents(out) == after


def test_a_film_of_a_known_name_from_another_folder_is_another_film(folder, tmp_path):
    out, films = tmp_path / "out", [tmp_path / day / "cam.mp4" for day in ("day1", "day2")]
    for path, name in zip(films, ("one.mp4", "more/one.mp4")):
        path.parent.mkdir()
        shutil.copy(folder / name, path)
        assert imports(path.parent, out, "--frames", 12)[0] == 0
    record = json.loads((out / "films.json").read_text())["films"]
    assert [(film["name"], film["group"]) for film in record] == [("cam.mp4", "cam"), ("day2/cam.mp4", "cam_2")]
    before = contents(out)
    assert not any(str(tmp_path).encode() in content for content in before.values())  # it goes where the clips go
    for path in films:
        assert imports(path.parent, out, "--frames", 12)[2] == []
        path.touch()
        assert imports(path.parent, out, "--frames", 12)[2] == []
    shutil.copy(folder / "two two.mkv", films[1])
    assert "another film than the one that was imported from it" in imports(films[1], out, "--frames", 12)[2][0]
    assert contents(out) == before
    kept = json.loads((out / "films.json").read_text())  # as it was, with the path itself
    kept["films"][1]["source"] = str(films[1].resolve())
    (out / "films.json").write_text(json.dumps(kept))
    assert "another film than the one that was imported from it" in imports(films[1], out, "--frames", 12)[2][0]


def test_an_import_goes_on_without_a_film_whose_clips_were_deleted(folder, imported, tmp_path):
    out = shutil.copytree(imported, tmp_path / "out")
    shutil.rmtree(next(out.glob("*/b")))
    code, printed, lines = imports(folder, out, "--frames", 12)
    assert (code, lines) == (0, []) and sum(map(int, re.findall(r"clips? of (\d) film", printed))) == 3
    with Image.open(out / "contact.png") as sheet:
        assert sheet.height == 3 * (import_videos.CELL + import_videos.LINE + import_videos.GAP)
    for film in json.loads((out / "films.json").read_text())["films"]:
        shutil.rmtree(out / film["split"] / film["group"], ignore_errors=True)
    assert "the folders of all films have been deleted" in refuses(folder, out, "--frames", 12)


def test_settings_that_gave_no_clip_may_be_changed(folder, tmp_path):
    out = tmp_path / "out"
    assert "fewer --frames" in imports(folder / "b.gif", out, "--frames", 200)[2][-1]
    assert imports(folder / "b.gif", out, "--frames", 12)[0] == 0


def test_a_name_of_any_bytes_is_printed(folder, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.gif")
    shutil.copy(folder / "b.gif", path)
    code, printed, _ = imports(path, tmp_path / "out", "--frames", 12)
    assert code == 0 and printed.encode().startswith(b"caf\\xe9.gif: 2 clips")


def film(clips, split=None, name=""):
    return ImportedFilm(name, 0, 0, name, name, split, clips, 1, clips, 0, 0)


@pytest.mark.parametrize("count", range(1, 25))
def test_no_split_is_empty_and_training_has_most(count):
    random = np.random.default_rng(count)
    films = [film(int(random.integers(1, 60)), name=str(i)) for i in range(count)]
    chosen = choose_splits(films)
    clips = {split: sum(f.clips for f, s in zip(films, chosen) if s == split) for split in SPLITS}
    assert [split for split in SPLITS if clips[split]] == list(SPLITS[:count])
    assert clips["train"] == max(clips.values())
    for f, split in zip(films, chosen):
        f.split = split
    more = films + [film(5, name="new"), film(0, name="nothing")]
    assert choose_splits(more)[:count] == chosen  # a film stays where it is
    assert choose_splits(more)[-1] is None


def test_odd_files_get_a_line_each_and_the_rest_goes_on(folder, tmp_path):
    odd = tmp_path / "odd"
    (odd / "texts").mkdir(parents=True)
    plain = folder / "one.mp4"
    for name in ("a.txt", "b.srt", "c.m3u8"):
        (odd / "texts" / name).write_text(f"#EXTM3U\n{plain}\n")
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.5", odd / "sound.m4a")
    ffmpeg("-i", plain, "-frames:v", 1, odd / "one frame.mp4")
    make_film(odd / "ten bit.mkv", "-pix_fmt", "yuv420p10le", start=11)
    make_film(odd / "portrait.mp4", start=12, size="64x96")
    make_film(odd / "thin.mkv", "-vf", "format=rgb24,crop=64:1", "-c:v", "ffv1", "-pix_fmt", "bgr0", start=13)
    make_film(odd / "uneven.mp4", "-vf", "select='lt(n,20)+not(mod(n,4))'", "-fps_mode", "vfr")
    ffmpeg("-i", plain, "-c", "copy", "-movflags", "+faststart", tmp_path / "fast.mp4")
    whole = (tmp_path / "fast.mp4").read_bytes()
    (odd / "truncated.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    (odd / "headless.mp4").write_bytes(plain.read_bytes()[:4000])
    shutil.copy(odd / "portrait.mp4", odd / "portrait copy.mp4")
    code, printed, lines = imports(odd, tmp_path / "out", "--frames", 12)
    assert code == 0
    said = dict(line.split(": ", 1) for line in [*lines, *printed.splitlines()[:-1]])
    assert len(lines) + len(printed.splitlines()) - 1 == len(said) == 12
    for name in ("a.txt", "b.srt", "c.m3u8"):
        assert said[f"texts/{name}"] == "no film that ffmpeg reads"
    assert said["sound.m4a"] == "no video stream in it"
    assert said["one frame.mp4"].startswith("no clip from 1 frame")
    assert said["ten bit.mkv"].startswith("3 clips from 40 frames")
    assert said["portrait.mp4"].startswith("3 clips from 40 frames") or said["portrait.mp4"].startswith("the same film")
    assert {"portrait.mp4", "portrait copy.mp4"} <= set(said)
    assert "64 x 1 pixels" in said["thin.mkv"]
    assert "variable frame rate" in said["uneven.mp4"]
    assert "clips from" in said["truncated.mp4"] and "s are there" in said["truncated.mp4"]
    assert "moov" in said["headless.mp4"]
    assert printed.splitlines()[-1].endswith("look at " + str(tmp_path / "out" / "contact.png"))


def test_bad_input_is_one_line(folder, imported, tmp_path):
    before = contents(imported)
    assert "made with --frames 12, not 20" in refuses(folder, imported, "--frames", 20)
    assert "made with --crop centre, not left" in refuses(folder, imported, "--frames", 12, "--crop", "left")
    assert contents(imported) == before
    out = tmp_path / "out"
    assert "give films" in refuses(folder)
    assert "no such file or folder" in refuses(folder / "nothing", out)
    assert f": {folder / 'out'} lies inside {folder}; give" in refuses(folder, folder / "out")
    assert "is not empty and has no films.json" in refuses(folder, folder.parent)
    wrong = {"size": (60, 8), "every": (0,), "frames": (1,), "shot-change": (0, "inf"), "crop": ("a:b",)}
    for option, value in [(option, value) for option, values in wrong.items() for value in values]:
        assert f"--{option}" in refuses(folder, out, f"--{option}", value)
    assert "none of the films was taken" in imports(folder / "b.gif", out, "--crop", "90:90:0:0")[2][-1]
    (tmp_path / "texts").mkdir()
    assert "none of the files is a film" in refuses(tmp_path / "texts", out)
    assert "--frames" in refuses(folder / "b.gif", out, "--frames", 200)


@pytest.mark.parametrize("split", ["test", "validate"])
def test_a_split_whose_film_was_deleted_is_filled_by_the_next(folder, tmp_path, split):
    films, out = tmp_path / "films", tmp_path / "out"
    films.mkdir()
    for name in ("one.mp4", "two two.mkv", "b.gif"):
        shutil.copy(folder / name, films)
    assert imports(films, out, "--frames", 12)[0] == 0
    (deleted,) = (out / split).glob("[!.]*")
    shutil.rmtree(deleted)
    code, printed, _ = imports(films, out, "--frames", 12)
    said = {"test": "there is no test split", "validate": "No film is left in validate"}[split]
    assert code == 0 and said in printed
    make_film(films / "new.mp4", frames=40, start=9)
    assert imports(films, out, "--frames", 12)[0] == 0
    assert (out / split / "new").is_dir()


def test_a_long_name_leaves_room_for_what_is_made_of_its_clips(tmp_path):
    record = Record(tmp_path, {})
    first = record.free_group("動" * 80 + "1.mp4")
    record.films.append(film(1, name=first))
    second = record.free_group("動" * 80 + "2.mp4")
    assert first != second and max(len(name.encode()) for name in (first, second)) <= 124
