"""What cannot work is refused before anything is written or deleted."""

import os
import shutil
from dataclasses import replace

import pytest
import torch

from tests.training.trainings import after, assert_equal_tensors, run_training, state_tensors
from vidpred import checkpoint, runs
from vidpred.config import SpeedConfig
from vidpred.errors import BadInput
from vidpred.models import build_model
from vidpred.training.loop import train


def test_other_settings_do_not_go_on_with_a_run(tiny_run, tiny_settings, robot):
    with pytest.raises(BadInput, match=r"train.lr is 0.002, asked for 0.5"):
        run_training(tiny_run, tiny_settings, robot, lr=0.5)


def test_a_refused_fresh_start_deletes_nothing(tiny_run, tiny_settings, robot):
    before = {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*")}
    for bad in (
        replace(tiny_settings, data=replace(tiny_settings.data, n_future=40)),
        replace(tiny_settings, train=replace(tiny_settings.train, kl_anneal_cycles=50)),
    ):
        with pytest.raises(BadInput):
            run_training(tiny_run, bad, robot, fresh=True)
    assert before == {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*")}


def test_graphs_without_a_gpu_are_refused_before_a_run_is_deleted_or_begun(tiny_run, tiny_settings, robot, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*")}
    for folder in (tiny_run, tmp_path / "new"):
        with pytest.raises(BadInput, match="cuda_graphs is for training on one GPU"):
            train(folder, tiny_settings, *robot, speed=SpeedConfig(cuda_graphs=True), cpu=True, fresh=True)
    assert before == {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*")}
    assert not (tmp_path / "new").exists()


def test_parts_of_one_clip_are_no_training_but_a_run_of_before_opens(tiny_run, tiny_settings, robot, tmp_path):
    """Settings of before, when pooled statistics of one clip were not refused."""
    parts = replace(tiny_settings, train=replace(tiny_settings.train, accumulation=tiny_settings.train.batch_size))
    with pytest.raises(BadInput, match="parts of one clip"):
        run_training(tmp_path / "new", parts, robot)
    assert not (tmp_path / "new").exists()
    run = shutil.copytree(tiny_run, tmp_path / "old")
    runs.write_config(run, parts, {})
    assert runs.read_config(run) == parts


def test_a_file_is_no_run_folder(tiny_settings, robot, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="file: not a folder"):
        run_training(tmp_path / "file", tiny_settings, robot, fresh=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_folder_whose_weights_could_not_be_read_again_is_refused(tiny_settings, robot, tmp_path):
    with pytest.raises(BadInput, match="a name that is not UTF-8"):
        run_training(tmp_path / os.fsdecode(b"run_\xe4"), tiny_settings, robot)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_that_is_no_run_is_left_alone(tiny_settings, robot, tmp_path, fresh):
    (tmp_path / runs.SAMPLES).mkdir()
    (tmp_path / runs.SAMPLES / "mine.txt").write_text("notes")
    with pytest.raises(BadInput, match="not empty and no run"):
        run_training(tmp_path, tiny_settings, robot, fresh=fresh)
    assert [p.name for p in tmp_path.rglob("*")] == [runs.SAMPLES, "mine.txt"]


def test_settings_of_another_program_make_no_run(tiny_settings, robot, tmp_path):
    (tmp_path / runs.CONFIG).write_text('{"name": "mine"}')
    (tmp_path / runs.KEPT).mkdir()
    (tmp_path / runs.KEPT / "mine.pt").touch()
    for fresh in (True, False):
        with pytest.raises(BadInput, match="no 'model' in it"):
            run_training(tmp_path, tiny_settings, robot, fresh=fresh)
    assert (tmp_path / runs.KEPT / "mine.pt").exists()


def test_a_damaged_run_can_be_started_over(short_svg, robot, tmp_path):
    run_training(tmp_path, short_svg, robot, stop=after(1))
    (tmp_path / runs.CONFIG).write_text("{")
    assert run_training(tmp_path, short_svg, robot, fresh=True)


def test_a_bundled_run_is_not_trained_over(tiny_run, tiny_settings, robot, tmp_path):
    bundled = tmp_path / "bundled"
    shutil.copytree(tiny_run, bundled, ignore=shutil.ignore_patterns(runs.LAST))
    before = (bundled / runs.WEIGHTS).read_bytes()
    with pytest.raises(BadInput, match="nothing to resume"):
        run_training(bundled, tiny_settings, robot)
    assert (bundled / runs.WEIGHTS).read_bytes() == before


def test_a_run_does_not_go_on_with_other_clips(dance_settings, dance, tmp_path):
    """Two validation splits would be mixed in its curves, and decide together which weights are kept."""
    assert not run_training(tmp_path / "run", dance_settings, dance, stop=after(1))
    with pytest.raises(BadInput, match="run was trained on other data: use another --out"):
        run_training(tmp_path / "run", dance_settings, dance[::-1])
    assert run_training(tmp_path / "run", dance_settings, dance)


def test_a_senseless_schedule_is_refused_before_anything_is_written(tiny_settings, robot, tmp_path):
    with pytest.raises(BadInput, match="rise of beta"):
        run_training(tmp_path, tiny_settings, robot, kl_anneal_cycles=50)
    assert not list(tmp_path.iterdir())


def test_clips_of_the_other_family_are_refused(tiny_settings, dance_settings, robot, dance, tmp_path):
    with pytest.raises(BadInput, match="frames of 64 x 64 pixels, this model takes 64 x 32"):
        run_training(tmp_path / "a", dance_settings, robot)
    with pytest.raises(BadInput, match="frames of 64 x 32 pixels, this model takes 64 x 64"):
        run_training(tmp_path / "a", replace(tiny_settings, data=replace(tiny_settings.data, n_future=3)), dance)
    assert not (tmp_path / "a").exists()


def test_fine_tuning_refuses_what_does_not_fit(dance_run, tiny_run, dance_settings, dance, tmp_path):
    with pytest.raises(BadInput, match="another family"):
        run_training(tmp_path / "a", dance_settings, dance, init=str(tiny_run))
    with pytest.raises(BadInput, match="is the run folder itself"):
        run_training(tmp_path / "a", dance_settings, dance, init=str(tmp_path / "a"))
    wider = replace(dance_settings, model=replace(dance_settings.model, pose_dim=6))
    with pytest.raises(BadInput, match="the config asks for"):
        run_training(tmp_path / "a", wider, dance, init=str(dance_run))
    assert not (tmp_path / "a").exists()


def test_a_fine_tuned_run_goes_on_and_is_finished_without_the_run_that_it_started_from(
    tiny_run, short_svg, robot, tmp_path
):
    start, run = shutil.copytree(tiny_run, tmp_path / "start"), tmp_path / "tuned"
    assert run_training(tmp_path / "whole", short_svg, robot, init=str(start))
    assert not run_training(run, short_svg, robot, init=str(start), stop=after(1))
    start.rename(tmp_path / "elsewhere")
    for _ in range(2):
        assert run_training(run, short_svg, robot, init=str(start))
        assert_equal_tensors(state_tensors(run), state_tensors(tmp_path / "whole"))
    for folder, fresh in ((run, True), (tmp_path / "other", False)):
        with pytest.raises(BadInput, match=f"{start}.*: missing"):
            run_training(folder, short_svg, robot, init=str(start), fresh=fresh)
    assert_equal_tensors(state_tensors(run), state_tensors(tmp_path / "whole"))


def test_a_fine_tuned_run_goes_on_by_any_path_to_its_start(
    tiny_run, dance_run, short_svg, robot, tmp_path, monkeypatch
):
    monkeypatch.chdir(tiny_run.parent)
    assert not run_training(tmp_path / "run", short_svg, robot, init=tiny_run.name, stop=after(1))
    with pytest.raises(BadInput, match=f"train.init is {tiny_run}, asked for {dance_run}"):
        run_training(tmp_path / "run", short_svg, robot, init=str(dance_run))
    for init in (tiny_run.name, str(tiny_run), str(tmp_path / "moved" / tiny_run.name)):
        assert run_training(tmp_path / "run", short_svg, robot, init=init)


def test_another_start_of_the_same_name_is_another_training(tiny_run, short_svg, robot, tmp_path):
    first, other = (shutil.copytree(tiny_run, tmp_path / place / "start") for place in ("a", "b"))
    torch.manual_seed(1)
    checkpoint.save_weights(other / runs.WEIGHTS, build_model(runs.read_config(tiny_run).model))
    run = tmp_path / "run"
    assert not run_training(run, short_svg, robot, init=str(first), stop=after(1))
    with pytest.raises(BadInput, match=f"train.init is {first}, asked for {other}"):
        run_training(run, short_svg, robot, init=str(other), stop=after(0))
    shutil.copy(other / runs.WEIGHTS, first)  # the start itself was trained on
    run_training(run, short_svg, robot, init=str(first), stop=after(0))
    shutil.copy(tiny_run / runs.WEIGHTS, other)  # a copy of what the start was
    run_training(run, short_svg, robot, init=str(other), stop=after(0))
