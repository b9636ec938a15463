"""The robot simulator: repeatable, obedient, pushes things, and cannot be driven off the table."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vidpred.data.robot_push import read_clip
from vidpred.errors import BadInput
from vidpred.simulate.robot_push.pusher import possible_futures, simulate_clip
from vidpred.simulate.robot_push.scene import REACH_HIGH, REACH_LOW, SHAPES, TABLE_CENTRE, Scene, draw_scene, scene_of
from vidpred.simulate.robot_push.simulation import MAX_DISPLACEMENT
from vidpred.simulate.robot_push.world import front_camera

BUNDLED = Path(__file__).parents[2] / "assets" / "data" / "robot_push" / "test" / "traj_0_to_255" / "1"


@pytest.fixture(scope="module")
def clips(simulator):
    """Some clips, and how far each of their objects was moved (metres)."""
    made, moved = [], []
    for index in range(8):
        clip = simulate_clip(simulator, 1, "train", index)
        ends = simulator.object_positions()
        moved.append([np.hypot(*(ends[o.shape][:2] - [o.x, o.y])) for o in clip.scene.objects])
        made.append(clip)
    return made, np.array(moved)


def make_scene(gripper=(0.0, 0.0, 0.05), **places) -> Scene:
    """Objects in the corners unless placed, the gripper over the middle; metres relative to the table's centre."""
    scene = draw_scene(np.random.default_rng(0), (0, 0, 0))
    corners = dict(zip(SHAPES, [(0.17, 0.22), (0.17, -0.22), (-0.17, 0.22), (-0.17, -0.22)], strict=True)) | places
    objects = [
        replace(o, x=TABLE_CENTRE[0] + corners[o.shape][0], y=TABLE_CENTRE[1] + corners[o.shape][1], yaw=0.0)
        for o in scene.objects
    ]
    return replace(scene, objects=tuple(objects), gripper=tuple(TABLE_CENTRE + gripper), finger=0.0)


def test_a_clip_is_a_function_of_seed_split_and_index(simulator, clips):
    for index in (5, 1):  # in another order, after other clips
        again = simulate_clip(simulator, 1, "train", index)
        for name in ("frames", "actions", "positions"):
            np.testing.assert_array_equal(getattr(again, name), getattr(clips[0][index], name))
        assert again.scene == clips[0][index].scene
    others = [
        simulate_clip(simulator, *key, n_frames=2) for key in ((2, "train", 0), (1, "test", 0), (1, "validate", 0))
    ]
    starts = [clip.frames[0].tobytes() for clip in clips[0] + others]
    assert len(set(starts)) == len(starts)


def test_possible_futures_begin_like_the_clip_and_part(simulator, clips):
    """In the next frame the arm goes where it is known to; later it has plans of its own, and the same ones again."""
    clip = clips[0][0]
    given = simulator, clip.scene, clip.actions[:3], 8, 5
    futures = possible_futures(*given)
    np.testing.assert_array_equal(possible_futures(*given), futures)
    misses = np.abs(futures.astype(float) - clip.frames[4:12]).mean((2, 3, 4))
    assert misses[:, 0].max() < 2 < misses[:, -1].mean()
    assert np.abs(futures[0, -1].astype(float) - futures[1:, -1]).mean((1, 2, 3)).min() > 1
    copied = np.abs(clip.frames[3].astype(float) - clip.frames[4]).mean()
    assert misses[:, 0].mean() < copied / 2


def test_the_bundled_clip_is_made_again(simulator):
    """What a seed gives does not change with the code. Another processor or renderer may round otherwise."""
    clip, bundled = simulate_clip(simulator, 0, "test", 0), read_clip(BUNDLED)
    assert clip.scene == scene_of(BUNDLED)
    np.testing.assert_allclose(clip.actions, bundled.conditions[:, :4], atol=1e-6)
    np.testing.assert_allclose(clip.positions, bundled.conditions[:, 4:], atol=1e-6)
    assert np.abs(clip.frames.astype(int) - bundled.frames).mean() < 0.5


def test_shapes_types_and_units(clips):
    for clip in clips[0]:
        assert clip.frames.shape == (30, 64, 64, 3) and clip.frames.dtype == np.uint8
        assert clip.actions.shape == (30, 4) and clip.actions.dtype == np.float32
        assert clip.positions.shape == (30, 3) and clip.positions.dtype == np.float32
        assert (clip.positions > REACH_LOW - 0.01).all() and (clip.positions < REACH_HIGH + 0.01).all()
        assert np.abs(clip.actions[:, :3]).max() <= MAX_DISPLACEMENT
        np.testing.assert_allclose(clip.positions[0], clip.scene.gripper, atol=1e-4)


def test_row_t_is_the_command_between_frames_t_and_t_plus_1(clips):
    moves = np.concatenate([np.diff(clip.positions, axis=0)[1:-1] for clip in clips[0]])

    def error(shift: int) -> float:
        actions = np.concatenate([clip.actions[1 + shift : 28 + shift, :3] for clip in clips[0]])
        return float(np.abs(moves - actions).mean())

    assert error(0) < 0.004  # metres; a blocked hand falls short
    assert error(0) < 0.6 * error(-1) and error(0) < 0.6 * error(1)


def test_clips_move_much_and_push_objects(clips):
    frames = [clip.frames / 255.0 for clip in clips[0]]
    mse = np.array([((x[2:12] - x[1:2]) ** 2).mean((1, 2)) for x in frames])
    assert 15 < (-10 * np.log10(mse)).mean() < 20  # dB, the first frame repeated
    speeds = np.concatenate([np.linalg.norm(np.diff(clip.positions, axis=0), axis=1) for clip in clips[0]])
    assert np.mean(speeds > 0.01) > 0.85
    assert np.mean(clips[1].max(axis=1) > 0.02) > 0.7  # metres


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_command_moves_the_gripper_its_way(simulator, axis, sign):
    simulator.reset(make_scene(gripper=(0, 0, 0.09)))
    start = simulator.position
    for _ in range(2):
        simulator.step(np.eye(4)[axis] * 0.02 * sign)
    np.testing.assert_allclose(simulator.position - start, np.eye(3)[axis] * 0.04 * sign, atol=0.004)


def test_the_finger_command_shows(simulator):
    pictures = []
    for finger in (0.0, 1.0):
        simulator.reset(make_scene())
        for _ in range(4):
            simulator.step([0, 0, 0, finger])
        pictures.append(simulator.render(64))
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() > 20


def push_cube(simulator, mass=0.3, friction=0.4) -> tuple[np.ndarray, np.ndarray]:
    """How far a cube goes (2,) that is hit by the hand, which then stops; the picture before."""
    scene = make_scene(gripper=(0.0, -0.12, 0.035), cube=(0.0, 0.0))
    simulator.reset(replace(scene, objects=tuple(replace(o, mass=mass, friction=friction) for o in scene.objects)))
    before = simulator.render(64)
    for t in range(8):
        simulator.step([0, 0.045 if t < 3 else 0, 0, 0])
    return simulator.object_positions()["cube"][:2] - TABLE_CENTRE[:2], before


def test_hidden_mass_and_friction_change_the_motion_only(simulator):
    usual, start = push_cube(simulator)
    assert usual[1] > 0.01
    for hidden in ({"mass": 1.5}, {"friction": 0.12}):
        other, other_start = push_cube(simulator, **hidden)
        np.testing.assert_array_equal(start, other_start)  # cannot be seen
        assert np.linalg.norm(other - usual) > 0.003
    np.testing.assert_array_equal(push_cube(simulator)[0], usual)  # and nothing of them stays behind


def test_the_physics_can_be_stepped_again_from_what_is_saved(simulator, clips):
    clip = clips[0][2]
    simulator.reset(Scene.from_dict(json.loads(json.dumps(clip.scene.to_dict()))))
    for t, action in enumerate(clip.actions):
        np.testing.assert_array_equal(simulator.render(64), clip.frames[t])
        np.testing.assert_array_equal(np.float32(simulator.position), clip.positions[t])
        simulator.step([float(f"{value:.9g}") for value in action])


def test_a_state_goes_on_to_the_bit(simulator, clips):
    """After other clips were simulated; masses and colours come back too."""
    clip, other = clips[0][:2]
    simulator.reset(clip.scene)
    for action in clip.actions[:12]:
        simulator.step(action)
    state = simulator.state
    simulator.reset(other.scene)
    simulator.step(other.actions[0])
    for _ in range(2):
        simulator.restore(state)
        for t in (12, 13, 14):
            np.testing.assert_array_equal(np.float32(simulator.position), clip.positions[t])
            simulator.step(clip.actions[t])
            np.testing.assert_array_equal(simulator.render(64), clip.frames[t + 1])


def test_no_command_drives_hand_or_objects_off_the_table(simulator):
    rng = np.random.default_rng(0)

    def squash(t):
        away = simulator.object_positions()[SHAPES[t // 12 % 4]] - simulator.position
        return [*away[:2], -1.0 if np.linalg.norm(away[:2]) < 0.02 else 1.0, t % 2]

    drives = {
        "wild": lambda t: rng.uniform(-9, 9, 4),
        "corner": lambda t: [1e300, np.inf, -np.inf, 5],
        "not a number": lambda t: [np.nan] * 4,
        "squash": squash,
    }
    for index, drive in enumerate(drives.values()):
        simulator.reset(draw_scene(rng, (0, 0, index)))
        for t in range(48):
            simulator.step(drive(t))
            assert (simulator.position > REACH_LOW - 0.03).all() and (simulator.position < REACH_HIGH + 0.03).all()
            for place in simulator.object_positions().values():
                assert (np.abs(place - TABLE_CENTRE) < [0.23, 0.28, 0.15]).all() and place[2] > TABLE_CENTRE[2]
    with pytest.raises(BadInput, match="4 numbers"):
        simulator.step([0.0, 0.0])


def test_larger_pictures_show_the_same_scene(simulator):
    simulator.reset(make_scene())
    small, large = simulator.render(64), simulator.render(128)
    assert large.shape == (128, 128, 3) and large.dtype == np.uint8
    assert np.abs(large.reshape(64, 2, 64, 2, 3).mean((1, 3)) - small).mean() < 3


def test_a_damaged_scene_is_bad_input():
    scene = draw_scene(np.random.default_rng(0), (0, 0, 0)).to_dict()
    heavy = [item | {"mass": "heavy"} for item in scene["objects"]]
    damages = [{"objects": objects} for objects in (scene["objects"][:3], [], [{"shape": "cube"}], heavy)]
    damages += [{"gripper": gripper} for gripper in (None, [1.3, 0.7], [1.3, 0.7, np.nan])]
    for damage in damages:
        with pytest.raises(BadInput, match="not a simulated scene"):
            Scene.from_dict(json.loads(json.dumps(scene | damage)))


def test_only_simulated_clips_have_a_scene(tmp_path):
    assert scene_of(BUNDLED).key == (0, 2, 0)
    assert scene_of(tmp_path) is None
    for text in ("", "{}", "[1]", '{"scene": {"objects": 3}}'):
        (tmp_path / "simulation.json").write_text(text)
        assert scene_of(tmp_path) is None


def test_the_camera_sees_the_gripper_where_the_picture_shows_it(simulator):
    """Against the engine's own camera."""
    data, model = simulator._data, simulator._model
    simulator.reset(make_scene())
    index = model.camera("front").id
    own, place = front_camera(), np.array([1.35, 0.70, 0.45])
    assert own.place == pytest.approx(data.cam_xpos[index], abs=1e-6)
    right, up, back = data.cam_xmat[index].reshape(3, 3).T @ (place - data.cam_xpos[index])
    half = math.tan(math.radians(model.cam_fovy[index]) / 2)
    assert own.pixel(place) == pytest.approx([0.5 - right / back / half / 2, 0.5 + up / back / half / 2], abs=1e-6)
