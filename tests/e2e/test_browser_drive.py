"""The Drive tab in a real browser: what is drawn is what the model imagined, by key, pad and screen reader alike."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.e2e.page import IDLE, tap
from vidpred import runs
from vidpred.data.robot_push import write_clip
from vidpred.explorer.drive.session import Drives
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.page import TABS, build_demo, launch_options
from vidpred.explorer.runs.library import Library
from vidpred.explorer.ui import drive_widget
from vidpred.simulate.robot_push.scene import draw_scene

REQUEST = "Number(document.querySelector('#drive [data-request]')?.dataset.request || 0)"
PRESSES = re.compile("/component_server")
DRIVE = {"app": "tab_url", "until": f"{REQUEST} > 0"}
# How many points of a picture its path covers, and how many of them are opaque and as red as what was predicted.
PATH = """name => {
  const canvas = document.querySelector(`#drive [data-part=${name}-path]`), {width, height} = canvas;
  const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
  let painted = 0, red = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3]) painted++;
    if (data[i] === 0xd5 && data[i + 1] === 0x1e && data[i + 2] === 0x1e && data[i + 3] === 255) red++;
  }
  return [painted, red];
}"""
# The line for screen readers names the last step: every press has been answered.
SETTLED = """() => {
  const [counter, status] = ['counter', 'status'].map(p => document.querySelector(`#drive [data-part=${p}]`).innerText);
  return status.startsWith(`Step ${counter.split(' ').at(-1)}.`);
}"""
# One sample from the middle of every pixel of the picture, as drawn on the canvas.
PIXELS = """() => {
  const canvas = document.querySelector('#drive [data-part=model]'), {zoom, border} = canvas.dataset, z = Number(zoom);
  const {data} = canvas.getContext('2d').getImageData(Number(border), Number(border), 64 * z, 64 * z);
  const half = Math.floor(z / 2), at = i => 4 * ((Math.floor(i / 64) * z + half) * 64 * z + (i % 64) * z + half);
  return Array.from({length: 64 * 64}, (_, i) => [...data.slice(at(i), at(i) + 3)]);
}"""


@pytest.fixture(scope="module")
def library(tiny_run, tiny_data, dance_run, tiny_dance, late_run, simulated_data):
    return Library([tiny_run, dance_run, late_run], [tiny_data, tiny_dance, simulated_data])


@pytest.fixture(scope="module")
def late_run(tiny_run, tmp_path_factory):
    """A run whose first epoch has not ended."""
    run = shutil.copytree(tiny_run, tmp_path_factory.mktemp("begun") / "late")
    (run / runs.WEIGHTS).unlink()
    return run


@pytest.fixture(scope="module")
def simulated_data(tmp_path_factory):
    """A clip with a scene; its pictures are no matter here."""
    root, random = tmp_path_factory.mktemp("simulated") / "pushed", np.random.default_rng(0)
    scene = draw_scene(random, (0, 2, 0))
    actions = np.float32([[*random.uniform(-0.04, 0.04, 3), 1] for _ in range(8)])
    positions = np.float32(scene.gripper) + np.concatenate([np.zeros((1, 3)), actions[:-1, :3]]).cumsum(0)
    frames = np.zeros((8, 64, 64, 3), np.uint8)
    write_clip(root / "test" / "a" / "1", frames, actions, positions, {"simulation.json": {"scene": scene.to_dict()}})
    return root


@pytest.fixture
def simulated(simulator):
    """Name of that clip, where there is a simulator."""
    return "a/1"


@pytest.fixture(scope="module")
def tab_url(library):
    """The page that opens with this tab."""
    demo = build_demo(library, [tab for tab in TABS if tab[0] == "drive"])
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield address
    demo.close()


@pytest.fixture
def drive(library):
    """The same drive, in Python."""
    return Drives(library, Physics()).begin(library.run("tiny"), next(iter(library.clips.values())), 0, 1.0)[1]


def drawn(page):
    return np.array(page.evaluate(PIXELS), np.uint8).reshape(64, 64, 3)


def counter(page):
    return page.locator("#drive [data-part=counter]").inner_text()


def after(page, press):
    """Press, and wait for the answer to be drawn."""
    before = page.evaluate(REQUEST)
    press()
    page.wait_for_function(f"{REQUEST} > {before}")


def near(page, image):
    return np.abs(drawn(page).astype(int) - image).max() <= 1


def choose(page, label, name):
    """Choose from the menu of that label that is on screen."""
    page.get_by_label(label, exact=True).locator("visible=true").click()
    page.get_by_role("option", name=re.compile(rf"(^|· ){re.escape(name)}$".replace("/", r"\/"))).click()


def test_keys_drive_and_undo_brings_the_frame_back(open_page, drive):
    page = open_page(**DRIVE)
    keys = page.locator(".drive")
    assert np.array_equal(drawn(page), drive.frames[1].image)
    keys.focus()
    for key, move in (("ArrowRight", [0, 1, 0]), ("ArrowUp", [-1, 0, 0]), ("PageUp", [0, 0, 1]), (" ", [0, 0, 0])):
        after(page, lambda key=key: tap(page, key))
        assert near(page, drive.step(move, 0).image)
    assert counter(page) == "step 4 of 4"
    four = drawn(page)
    after(page, lambda: tap(page, "o"))
    assert near(page, drive.replay().image)
    after(page, lambda: tap(page, "Backspace"))
    assert np.array_equal(drawn(page), four)
    after(page, lambda: tap(page, "r"))
    assert counter(page) == "given frame 1"
    for _ in range(2):  # the last step back leaves nothing to undo: the button that was pressed is disabled
        after(page, lambda: tap(page, "ArrowRight"))
        assert counter(page) == "step 1 of 1"
        after(page, lambda: page.locator("#drive").get_by_role("button", name="Undo").click())


def test_the_address_holds_what_was_driven_and_drives_it_again(open_page, drive):
    page = open_page(**DRIVE)
    page.locator(".drive").focus()
    for key in ("f", "Backspace"):  # the fingers are as they were, too
        after(page, lambda key=key: tap(page, key))
    steps = [("ArrowRight", [0, 1, 0]), ("ArrowRight", [0, 1, 0]), ("PageUp", [0, 0, 1])]
    for key, move in steps:
        after(page, lambda key=key: tap(page, key))
        drive.step(move, 0)
    for key in ("o", "o", "Backspace"):
        after(page, lambda key=key: tap(page, key))
    drive.replay()
    page.wait_for_function("location.search === '?tab=drive&actions=90x2-80-o'")
    again = open_page("?tab=drive&actions=90x2-80-o", app="tab_url", until=f"{REQUEST} > 0")
    again.wait_for_function("document.querySelector('#drive [data-part=counter]').innerText === 'step 4 of 4'")
    assert near(again, drive.frames[-1].image)
    assert again.url.endswith("?tab=drive&actions=90x2-80-o")
    after(again, lambda: again.locator("#drive").get_by_role("button", name="Restart").click())
    again.wait_for_function("location.search === ''")
    unread = open_page("?tab=drive&actions=fax999", app="tab_url", until=f"{REQUEST} > 0")
    assert unread.locator("#drive [data-part=refusal]").inner_text() == "The actions in this address cannot be read."


def test_an_answer_that_is_lost_is_said_and_the_address_stays_that_of_the_drive(open_page, drive):
    page = open_page(**DRIVE, new=True)
    page.locator(".drive").focus()
    after(page, lambda: tap(page, "ArrowRight"))
    lost = page.locator("#drive [data-part=refusal]").filter(has_text="could not be reached")

    def unanswered(route):  # the model has taken the step
        route.fetch()
        route.fulfill(body="no JSON")

    page.route(PRESSES, unanswered)
    tap(page, "ArrowUp")
    lost.wait_for()
    page.unroute(PRESSES)
    after(page, lambda: tap(page, "o"))
    page.wait_for_function("document.querySelector('#drive [data-part=counter]').innerText === 'step 3 of 3'")
    assert lost.count() == 0
    for move in ([0, 1, 0], [-1, 0, 0]):
        drive.step(move, 0)
    assert near(page, drive.replay().image)
    page.wait_for_function("location.search === '?tab=drive&actions=90-18-o'")


def test_an_answer_that_comes_after_another_drive_has_begun_is_not_drawn_into_it(open_page):
    page, presses = open_page(**DRIVE, new=True), []
    page.locator(".drive").focus()
    page.route(PRESSES, lambda route: presses.append((route, route.fetch())))
    with page.expect_request(PRESSES):
        tap(page, "ArrowRight")
    after(page, lambda: page.get_by_role("button", name="Another seed").locator("visible=true").click())
    route, answer = presses[0]
    with page.expect_event("requestfinished", lambda request: PRESSES.search(request.url)):
        route.fulfill(body=json.dumps({**answer.json(), "request": page.evaluate(REQUEST) + 1}))
    page.evaluate(IDLE)
    assert counter(page) == "given frame 1"


def test_every_press_is_taken_while_an_answer_is_on_its_way(open_page, drive):
    page, first, sent = open_page(**DRIVE, new=True), [], []
    page.locator(".drive").focus()
    page.route(PRESSES, lambda route: route.continue_() if sent else first.append(route))
    with page.expect_request(PRESSES):
        page.keyboard.down("ArrowUp")
    page.keyboard.press("ArrowRight")  # beside the other: a diagonal
    page.keyboard.up("ArrowUp")
    for key in ("PageUp", "o", " ", "ArrowLeft"):
        page.keyboard.press(key)
    sent.append(True)
    first[0].continue_()
    page.wait_for_function("document.querySelector('#drive [data-part=counter]').innerText === 'step 6 of 6'")
    for move in ([-1, 0, 0], [-1, 1, 0], [0, 0, 1]):
        drive.step(move, 0)
    drive.replay()
    for move in ([0, 0, 0], [0, -1, 0]):
        drive.step(move, 0)
    assert near(page, drive.frames[-1].image)


def test_a_press_after_restart_is_the_first_of_the_new_drive(open_page, drive):
    page = open_page(**DRIVE)
    page.locator(".drive").focus()
    for key in ("r", "f", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_function("document.querySelector('#drive [data-part=counter]').innerText === 'step 2 of 2'")
    drive.step([0, 0, 0], 1)
    assert near(page, drive.step([0, 1, 0], 1).image)
    after(page, lambda: page.keyboard.press("ArrowLeft"))
    assert near(page, drive.step([0, -1, 0], 1).image)  # the fingers stay open


def test_hold_to_repeat_and_diagonals(open_page):
    page = open_page(**DRIVE, new=True)  # its clock will stand still
    page.locator(".drive").focus()
    page.keyboard.down("ArrowRight")
    page.keyboard.down("ArrowDown")
    assert page.get_by_role("button", name="Front and right").get_attribute("class") == "held"
    page.wait_for_function("/step ([3-9]|\\d\\d)/.test(document.querySelector('[data-part=counter]').innerText)")
    page.clock.install()
    page.keyboard.up("ArrowRight")
    page.keyboard.up("ArrowDown")
    page.wait_for_function(SETTLED)
    presses = []
    page.on("request", lambda request: presses.append(request) if PRESSES.search(request.url) else None)
    page.clock.run_for(2000)  # milliseconds, of the page's own clock
    assert presses == []


def test_pad_fingers_and_the_film(open_page, drive):
    page = open_page(**DRIVE)
    after(page, lambda: page.get_by_role("button", name="Left", exact=True).click())
    left = drive.step([0, -1, 0], 0).image
    assert near(page, left)
    page.get_by_role("button", name="Front", exact=True).focus()
    after(page, lambda: page.keyboard.press("Enter"))
    assert near(page, drive.step([1, 0, 0], 0).image)
    after(page, lambda: page.get_by_role("button", name="Fingers open").click())
    assert page.get_by_role("button", name="Fingers open").get_attribute("aria-pressed") == "true"
    strip = page.locator("#drive [data-part=strip]")
    strip.click(position={"x": strip.bounding_box()["width"] * 2.5 / 5, "y": 10})
    assert counter(page) == "step 1 of 3"
    assert near(page, left)
    page.get_by_role("button", name="Play back").click()
    page.wait_for_function("document.querySelector('[data-part=counter]').innerText === 'step 3 of 3'")


def test_the_physics_joins_and_stays_beside(open_page, simulated):
    """It starts while the first steps are driven; then it catches up, and every later step has it."""
    page = open_page(**DRIVE)
    after(page, lambda: choose(page, "Clip", simulated))
    page.locator(".drive").focus()
    after(page, lambda: page.keyboard.press("o"))
    page.locator("#drive [data-part=psnr]").filter(has_text="dB").wait_for()
    for _ in range(2):
        after(page, lambda: page.keyboard.press("o"))
    assert counter(page) == "step 3 of 3"
    assert page.locator("#drive [data-part=psnr]").inner_text().endswith(" dB")
    assert page.locator("#drive [data-part=refusal]").inner_text() == ""


def test_path_is_drawn_or_not(open_page, simulated):
    page = open_page(**DRIVE)
    after(page, lambda: choose(page, "Clip", simulated))
    after(page, lambda: page.get_by_role("button", name="Own action").click())
    button = page.get_by_role("button", name="Path")
    assert min(page.evaluate(PATH, "model")) > 0
    button.click()
    assert page.evaluate(PATH, "model") == [0, 0]
    after(page, lambda: page.get_by_role("button", name="Own action").click())
    assert page.evaluate(PATH, "model") == [0, 0]
    button.click()
    assert min(page.evaluate(PATH, "model")) > 0


def test_a_gif_comes_down(open_page):
    page = open_page(**DRIVE)
    assert page.get_by_role("button", name="Save GIF").is_disabled()
    after(page, lambda: page.get_by_role("button", name="Own action").click())
    with page.expect_download() as download:
        page.get_by_role("button", name="Save GIF").click()
    assert download.value.suggested_filename.endswith("traj_0_to_255-1.gif")
    assert Image.open(download.value.path()).n_frames == 3


def test_another_seed_begins_again(open_page):
    page = open_page(**DRIVE)
    after(page, lambda: page.get_by_role("button", name="Own action").click())
    after(page, lambda: page.get_by_role("button", name="Another seed").click())
    assert counter(page) == "given frame 1"
    page.get_by_label("Seed", exact=True).first.fill("1.5")
    page.get_by_text("The seed must be a whole number").wait_for()
    after(page, lambda: page.get_by_role("button", name="Own action").click())
    assert counter(page) == "step 1 of 1"


def test_a_refused_run_is_tried_again_when_the_tab_is_opened(open_page, late_run, tiny_run):
    page = open_page(**DRIVE)
    after(page, lambda: choose(page, "Run", "late"))
    page.get_by_text("late has no weights yet").wait_for()
    shutil.copy(tiny_run / runs.WEIGHTS, late_run)
    page.get_by_role("tab", name="What if").click()
    after(page, lambda: page.get_by_role("tab", name="Drive the robot").click())
    assert counter(page) == "given frame 1"


def test_what_if_and_poses_are_there_when_opened(open_page):
    page = open_page(**DRIVE)
    page.get_by_role("tab", name="What if").click()
    page.locator("#what-if canvas").first.wait_for()
    page.get_by_text("the changed ones").wait_for()
    page.get_by_role("tab", name="Choose the poses").click()
    page.locator("#poses").get_by_text("Camera").first.wait_for()


def test_what_if_of_either_family_and_what_the_physics_does(open_page, simulated):
    page = open_page(**DRIVE)
    page.get_by_role("tab", name="What if").click()
    page.get_by_text("knows the clip's own actions").wait_for()
    choose(page, "Run", "dance")
    page.get_by_text("knows the clip's own poses").wait_for()
    choose(page, "Run", "tiny")
    page.get_by_text("knows the clip's own actions").wait_for()
    choose(page, "Clip", simulated)
    page.get_by_text("really do in the simulator").wait_for()
    assert page.locator(".toast-body").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_is_defined(open_page, theme):
    """Of the style sheet, and of what the script draws with."""
    page = open_page(f"?__theme={theme}", **DRIVE)
    used = {
        *re.findall(r"var\((--[\w-]+)", drive_widget.DRIVE.style),
        *re.findall(r'"(--[\w-]+)"', drive_widget.DRIVE.script),
    }
    read = "name => getComputedStyle(document.querySelector('.drive')).getPropertyValue(name).trim()"
    assert {"--predicted", "--line", "--body-text-color"} <= used
    assert [name for name in sorted(used) if not page.evaluate(read, name)] == []


def test_phone_in_the_dark(open_page, drive):
    page = open_page("?__theme=dark", **DRIVE, viewport={"width": 400, "height": 800}, device_scale_factor=2.5)
    page.locator(".drive").focus()
    after(page, lambda: page.keyboard.press("ArrowLeft"))
    assert near(page, drive.step([0, -1, 0], 0).image)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
