"""Pictures of imagined futures are the very ones that are scored."""

import shutil
from dataclasses import replace

import imageio.v3 as imageio
import numpy as np

from tests.commands import fails, succeeds
from tests.promise import same_picture
from vidpred import checkpoint, runs
from vidpred.data.batches import open_split, window_batch
from vidpred.frames import to_uint8
from vidpred.rollout import predict


def test_each_time_step_s_picture_is_the_prediction(tiny_run, tiny_data, tmp_path):
    options = ["--clips", 2, "--samples", 2, "--seed", 3, "--mp4", "--cpu"]
    succeeds("train.generate", tiny_run, "--data", tiny_data, "--out", tmp_path, *options)
    batch = window_batch(open_split(tiny_data, "test"), [1], 6)
    futures = to_uint8(
        predict(checkpoint.load_model(tiny_run), batch.to_clip(2), batch.ids, n_future=4, seed=3, samples=2)
    )
    name = "test_traj_0_to_255_2"
    for k in range(2):
        written = [imageio.imread(tmp_path / name / f"sample_{k}" / f"{t}.png") for t in range(2, 6)]
        assert same_picture(np.stack(written), futures[k, 0])
    assert {path.name for path in tmp_path.iterdir()} == {
        f"test_traj_0_to_255_{clip}{kind}" for clip in (1, 2) for kind in ("", ".gif", ".mp4", ".png")
    }
    assert len(imageio.imread(tmp_path / f"{name}.gif")) == 6
    strip = imageio.imread(tmp_path / f"{name}.png")
    assert strip.shape == (2 * (3 * 68 + 2 * 4), 2 * (6 * 68 + 5 * 4), 3)


def test_names_with_dots_keep_their_pictures_and_no_old_frame_is_left(tiny_run, tiny_data, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    for clip in ("a.1", "a.2"):
        shutil.copytree(tiny_data / "test" / "traj_0_to_255" / "1", data / "test" / "v1.5" / clip)
    command = ("train.generate", tiny_run, "--data", data, "--out", out, "--cpu")
    succeeds(*command, "--samples", 2, "--n-future", 3, "--mp4")
    succeeds(*command, "--samples", 1, "--n-future", 1)
    names = ("test_v1.5_a.1", "test_v1.5_a.2")
    assert {path.name for path in out.iterdir()} == {f"{name}{kind}" for name in names for kind in ("", ".gif", ".png")}
    for name in names:
        assert [str(path.relative_to(out / name)) for path in (out / name).rglob("*.png")] == ["sample_0/2.png"]


def test_a_dance_is_imagined_as_far_as_there_are_poses(dance_run, tiny_dance, tmp_path):
    """Also beyond the frames that validation looks at."""
    run = shutil.copytree(dance_run, tmp_path / "run")
    config = runs.read_config(run)
    runs.write_config(run, replace(config, data=replace(config.data, val_length=4)), {})
    succeeds("train.generate", run, "--data", tiny_dance, "--out", tmp_path / "out", "--samples", 1, "--cpu")
    assert len(list((tmp_path / "out" / "test_1" / "sample_0").glob("*.png"))) == 8


def test_bad_input_is_one_line(tiny_run, tiny_data, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert "is nowhere a run folder?" in fails("train.generate", "nowhere", "--data", tiny_data, *out)
    for option, said in (("--samples", "--samples must be at least 1"), ("--n-future", "--n-future must be")):
        assert said in fails("train.generate", tiny_run, "--data", tiny_data, *out, option, 0)
    assert "--samples must be at most 1000" in fails(
        "train.generate", tiny_run, "--data", tiny_data, *out, "--samples", 1001
    )
    assert "are needed" in fails("train.generate", tiny_run, "--data", tiny_data, *out, "--n-future", 99)
    inside = ["--out", tiny_data / "test" / "futures"]
    assert "lies inside" in fails("train.generate", tiny_run, "--data", tiny_data, *inside)
    assert not (tmp_path / "out").exists()


def test_clips_whose_pictures_would_have_the_same_names_are_refused(tiny_run, tiny_data, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / "data", ignore=shutil.ignore_patterns(".packed"))
    for group, name in (("a", "b_1"), ("a_b", "1")):
        shutil.copytree(tiny_data / "test" / "traj_0_to_255" / "1", data / "test" / group / name)
    said = fails("train.generate", tiny_run, "--data", data, "--out", tmp_path / "out", "--cpu")
    assert "the pictures of test/a/b_1 and test/a_b/1 would have the same names" in said
    assert not (tmp_path / "out").exists()


def test_many_samples_stand_in_rows(tiny_run, tiny_data, tmp_path):
    """A GIF holds no frame wider than 65,535 pixels, H.264 none wider than 16,384."""
    options = ["--clips", 1, "--samples", 130, "--n-future", 1, "--mp4", "--cpu"]
    succeeds("train.generate", tiny_run, "--data", tiny_data, "--out", tmp_path, *options)
    (mp4,) = tmp_path.glob("*.mp4")
    for film in (mp4, mp4.with_suffix(".gif")):
        frames, height, width, _ = imageio.imread(film).shape
        assert (frames, height, width) == (3, 2 * (5 * 68 + 4 * 4), 2 * (30 * 68 + 29 * 4))  # truth and samples


def test_a_dance_gives_pose_truth_and_prediction(dance_run, tiny_dance, tmp_path):
    succeeds("train.generate", dance_run, "--data", tiny_dance, "--out", tmp_path, "--samples", 1, "--cpu")
    assert {path.name for path in tmp_path.iterdir()} == {
        f"test_{k}{kind}" for k in (0, 1) for kind in ("", ".gif", ".png")
    }
    assert len(imageio.imread(tmp_path / "test_0.gif")) == 9
    strip = imageio.imread(tmp_path / "test_0.png")
    assert strip.shape == (2 * (3 * 36 + 2 * 4), 2 * (9 * 68 + 8 * 4), 3)  # pose, truth and one sample
    assert len(list((tmp_path / "test_1" / "sample_0").glob("*.png"))) == 8


def test_a_dance_without_truth_is_imagined_all_the_same(dance_run, tiny_dance, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(tiny_dance, data, ignore=shutil.ignore_patterns("test_truth", ".packed"))
    for name, root in (("with", tiny_dance), ("without", data)):
        succeeds("train.generate", dance_run, "--data", root, "--out", tmp_path / name, "--samples", 1, "--cpu")
    for t in (1, 8):
        pair = [imageio.imread(tmp_path / name / "test_0" / "sample_0" / f"{t}.png") for name in ("with", "without")]
        assert same_picture(*pair)
    assert imageio.imread(tmp_path / "without" / "test_0.png").shape[0] == 2 * (2 * 36 + 4)  # no row of truth
    said = fails("train.evaluate", dance_run, "--data", data, "--split", "test", "--samples", 1)
    assert "true frames" in said


def test_a_submission_holds_the_predicted_frames(dance_run, tiny_dance, tmp_path, monkeypatch):
    """Its rows in the order id, C, H, W; row 0 of a sequence is the given frame."""
    from train import generate

    monkeypatch.setattr(generate, "OFFICIAL_SEQUENCES", 2)
    monkeypatch.setattr(generate, "OFFICIAL_FRAMES", 9)
    generate.generate(dance_run, tiny_dance, tmp_path, samples=1, official=True, cpu=True, seed=4)
    lines = (tmp_path / "submission.csv").read_text().splitlines()
    assert lines[0] == "id," + ",".join(map(str, range(6144)))
    table = np.array([[int(cell) for cell in line.split(",")] for line in lines[1:]])
    assert table.shape == (18, 6145)
    assert table[:, 0].tolist() == list(range(18))
    batch = window_batch(open_split(tiny_dance, "test"), [0, 1], 9)
    futures = predict(checkpoint.load_model(dance_run), batch.to_clip(1), batch.ids, n_future=8, seed=4)[0]
    expected = np.concatenate([batch.frames[:, :1].numpy(), to_uint8(futures)], 1)  # 2, 9, H, W, 3
    assert same_picture(np.uint8(table[:, 1:]), expected.transpose(0, 1, 4, 2, 3).reshape(18, -1))


def test_what_is_no_official_test_set_is_refused(dance_run, tiny_dance, tiny_run, tiny_data, tmp_path):
    out = ["--out", tmp_path / "out", "--official"]
    assert "5 sequences of 630 poses, found 2 of 9" in fails("train.generate", dance_run, "--data", tiny_dance, *out)
    assert "these are robot clips" in fails("train.generate", tiny_run, "--data", tiny_data, *out)
    assert "robot clips are for SVG" in fails("train.generate", dance_run, "--data", tiny_data, *out)
    said = fails("train.generate", dance_run, "--data", tiny_dance, *out, "--n-future", 3)
    assert "--n-future does not go with --official" in said
    assert not (tmp_path / "out").exists()
