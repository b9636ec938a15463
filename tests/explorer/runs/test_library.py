"""The library: names become runs and clips, files are read once while nothing changes, caches are bounded."""

import builtins
import io
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands import succeeds
from tests.explorer.predictions import ROBOT, predicted
from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.runs.library import BYTES_KEPT, MODELS_KEPT, Library, names

BAD_NAMES = (None, "", "other", ["tiny"], "../tiny", 0, {"a": 1})


def replaced(path):
    """The same bytes as a new file, as an epoch writes its weights."""
    shutil.copy(path, path.with_name("next"))
    path.with_name("next").replace(path)


@pytest.fixture
def copied_run(tiny_run, tmp_path):
    """A run that a test may change."""
    return shutil.copytree(tiny_run, tmp_path / "tiny")


@pytest.fixture
def reads(monkeypatch):
    """How often files of a run were read, by their names."""
    counted, opened = Counter(), open

    def count(path, mode="r", *args, **kwargs):
        if "r" in mode and Path(str(path)).name in (runs.CONFIG, runs.EVAL, runs.METRICS):
            counted[Path(path).name] += 1
        return opened(path, mode, *args, **kwargs)

    for module in (builtins, io):  # pathlib opens by the second
        monkeypatch.setattr(module, "open", count)
    return counted


# --- names ------------------------------------------------------------------------------------------------------------


def test_names(families, tiny_data, tiny_run, tmp_path):
    assert names(families.all_runs()) == list(families.runs) == ["tiny", "dance"]
    assert list(families.clips) == [*(f"traj_0_to_255/{i}" for i in (1, 2, 3, 4)), "validate", "test/0", "test/1"]
    assert names(families.clips_for(families.run("dance"))) == ["validate", "test/0", "test/1"]
    assert names(families.clips_for(families.run("tiny"))) == list(families.clips)[:4]
    other = shutil.copytree(tiny_data, tmp_path / "other")
    several = Library([tiny_run], [tiny_data, other, tiny_data])
    assert len(several.clips) == 8
    assert "other/traj_0_to_255/1" in several.clips
    (other / "test" / "traj_0_to_255").rename(other / "test" / "more")
    apart = Library([tiny_run], [tiny_data, other])  # no name is in both of them
    assert list(apart.clips) == [*(f"{group}/{i}" for group in ("traj_0_to_255", "more") for i in (1, 2, 3, 4))]
    (other / "test" / "more").rename(other / "test" / "traj_0_to_255")
    twin = shutil.copytree(tiny_data, tmp_path / "twin" / "other")
    assert "twin/other/traj_0_to_255/1" in Library([tiny_run], [other, twin]).clips
    deeper = shutil.copytree(tiny_data, tmp_path / "deeper" / "twin" / "other")
    assert len(Library([tiny_run], [twin, deeper]).clips) == 8


def test_a_clip_no_longer_than_the_context_is_for_no_run(families):
    run, dancer = families.run("tiny"), families.run("dance")
    first, *others = families.clips_for(run)
    short, dance = replace(first, frames=run.n_past, known=run.n_past), replace(families.clip("test/0"), known=1)
    library = families.with_own({}, {clip.name: clip for clip in (short, dance)})
    assert library.clips_for(run) == library.clips_for(run, known=True) == others
    assert names(library.clips_for(dancer)) == ["validate", "test/0", "test/1"]
    assert names(library.clips_for(dancer, known=True)) == ["validate", "test/1"]


def test_a_name_becomes_what_it_stands_for(families, tiny_run, tiny_data):
    run, clip = families.run("tiny"), families.clip("traj_0_to_255/2")
    assert (run.name, run.folder, run.config) == ("tiny", tiny_run, runs.read_config(tiny_run))
    assert run.weights == (tiny_run / runs.WEIGHTS).stat().st_mtime_ns
    assert clip.folder == tiny_data / "test" / "traj_0_to_255" / "2"
    assert (clip.name, clip.frames, clip.known, clip.has_poses) == ("traj_0_to_255/2", 16, 16, False)


@pytest.mark.parametrize("name", [*BAD_NAMES, "traj_0_to_255/99", "../../test/traj_0_to_255/2"])
def test_any_other_name_is_one_line(families, name):
    for resolve in (families.run, families.clip):
        with pytest.raises(BadInput, match="choose a (run|clip) from the list") as error:
            resolve(name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("folders", [("runs", None), (None, "clips")])
def test_missing_folders_are_bad_options(tiny_run, tiny_data, tmp_path, folders):
    missing_run, missing_data = folders
    with pytest.raises(BadInput, match="no such folder"):
        Library(
            [tmp_path / missing_run if missing_run else tiny_run],
            [tmp_path / missing_data if missing_data else tiny_data],
        )


def test_shards_are_named_and_what_they_were_made_from_is_asked_for(tiny_run, tiny_data, tmp_path):
    succeeds("train.prepare", "shard", tiny_data, tmp_path / "shards")
    with pytest.raises(BadInput, match=r"tar shards; the explorer reads .* that train\.prepare shard made them from"):
        Library([tiny_run], [tmp_path / "shards"])


def test_runs_that_were_begun_since_are_taken_in(copied_run, tiny_data, tiny_run):
    library = Library([copied_run.parent], [tiny_data])
    shutil.copytree(tiny_run, copied_run.parent / "later")
    (copied_run.parent / "broken").mkdir()
    (copied_run.parent / "broken" / runs.CONFIG).write_text("{")
    library.rescan()
    assert list(library.runs) == ["later", "tiny"]
    assert predicted(library, "later", "traj_0_to_255/2", n_future=2).settings.run == library.run("later")
    shutil.rmtree(copied_run)
    library.rescan()
    assert list(library.runs) == ["later"]
    shutil.rmtree(copied_run.parent / "later")
    library.rescan()  # nothing is left: better an old list than none
    assert list(library.runs) == ["later"]


def test_runs_are_taken_in_where_another_folder_is_gone_or_empty(tiny_run, tiny_data, tmp_path):
    gone, empty, held = tmp_path / "gone", tmp_path / "empty", tmp_path / "held"
    for folder in (gone, empty, held):
        shutil.copytree(tiny_run, folder / folder.name)
    library = Library([gone, empty, held], [tiny_data])
    shutil.rmtree(gone)
    shutil.rmtree(empty / "empty")
    shutil.copytree(tiny_run, held / "later")
    library.rescan()
    assert list(library.runs) == ["held", "later"]


# --- what is read -----------------------------------------------------------------------------------------------------


def test_files_of_a_run_are_read_once_while_nothing_changes(copied_run, tiny_data, reads):
    (copied_run / runs.EVAL).write_text(json.dumps({"psnr": 20.0}))
    library = Library([copied_run], [tiny_data])
    reads.clear()
    first = library.run("tiny")
    assert reads == {runs.CONFIG: 1, runs.EVAL: 1}
    assert library.run("tiny") is first
    assert library.all_runs() == [first]
    library.with_own({}, {}).run("tiny")
    assert reads == {runs.CONFIG: 1, runs.EVAL: 1}


def test_what_has_changed_is_seen_by_whoever_asks_next(copied_run, tiny_data):
    library = Library([copied_run], [tiny_data])
    before = library.run("tiny")
    assert before.evaluation is None
    (copied_run / runs.EVAL).write_text(json.dumps({"psnr": 20.0}))
    evaluated = library.run("tiny")
    assert evaluated.evaluation.psnr == 20.0
    (copied_run / runs.EVAL).write_text(json.dumps({"psnr": 25.25}))
    assert library.run("tiny").evaluation.psnr == 25.25
    replaced(copied_run / runs.WEIGHTS)
    assert library.run("tiny").weights > before.weights
    (copied_run / runs.WEIGHTS).unlink()
    assert library.run("tiny").weights is None
    assert before.evaluation is None  # who got it goes on with it
    settings = json.loads((copied_run / runs.CONFIG).read_text())
    settings["data"]["n_future"] += 1
    (copied_run / runs.CONFIG).write_text(json.dumps(settings))
    assert library.run("tiny").config.data.n_future == before.config.data.n_future + 1


def test_a_prediction_reads_no_more_than_its_run(copied_run, tiny_data, reads):
    library = Library([copied_run], [tiny_data])
    predicted(library, **ROBOT)
    reads.clear()
    predicted(library, **ROBOT)
    predicted(library, **{**ROBOT, "seed": 4})
    assert not reads
    (copied_run / runs.EVAL).write_text(json.dumps({"psnr": 20.0}))
    predicted(library, **ROBOT)
    assert reads == {runs.CONFIG: 1, runs.EVAL: 1}


def test_runs_that_were_read_are_bounded(tiny_run, tiny_data, tmp_path, monkeypatch):
    """Every run that a visitor uploads is one more."""
    monkeypatch.setattr("vidpred.explorer.runs.library.RUNS_KEPT", 2)
    for i in range(3):
        shutil.copytree(tiny_run, tmp_path / f"run{i}")
    library = Library([tmp_path], [tiny_data])
    assert names(library.all_runs()) == ["run0", "run1", "run2"]
    assert len(library._read) == 2


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_cached_results_are_bounded(families):
    made = [families.cached(("big", i), lambda i=i: i, lambda _: BYTES_KEPT // 2) for i in range(4)]
    assert made == [0, 1, 2, 3]
    assert families.cached(("big", 3), lambda: "new", lambda _: 0) == 3
    assert families.cached(("big", 0), lambda: "new", lambda _: 0) == "new"
    assert families.cached("larger than all", lambda: "once", lambda _: BYTES_KEPT + 1) == "once"
    assert families.cached("larger than all", lambda: "again", lambda _: 0) == "again"


def test_models_are_loaded_once_until_they_change_and_few_are_kept(tiny_run, tiny_data, tmp_path):
    names = [f"run{i}" for i in range(MODELS_KEPT + 1)]
    for name in names:
        shutil.copytree(tiny_run, tmp_path / name)
    library = Library([tmp_path], [tiny_data])

    def loaded(name):
        with library.model(library.run(name)) as model:
            return model

    first = [loaded(name) for name in names]
    assert loaded(names[-1]) is first[-1]
    assert loaded(names[0]) is not first[0]
    before = loaded("run2")
    replaced(tmp_path / "run2" / runs.WEIGHTS)  # a new epoch's
    assert loaded("run2") is not before
    assert len(library._models) <= MODELS_KEPT
