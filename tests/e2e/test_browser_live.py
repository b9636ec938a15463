"""The model in the exported page: its pictures are the server's, for both families, and it needs no network twice."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.e2e.page import IDLE, tap
from vidpred.explorer.drive.session import Drive
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.runs.prediction import predict_clip

N_FUTURE, SEED, TEMPERATURE, SAMPLES = 10, 3, 0.8, 2
FIRST = "document.querySelector('#player-host').dataset.request"
# Every frame of a tile, one number of every pixel's middle, as the player draws it.
FRAMES = """([tile, first]) => {
  const scrub = document.querySelector('#player-host [data-part=scrub]'), found = [];
  for (let t = first; t <= Number(scrub.max); t++) {
    scrub.value = t;
    scrub.dispatchEvent(new Event('input'));
    const canvas = document.querySelector(`#player-host canvas[data-tile="${tile}"]`), {width, height} = canvas;
    const zoom = Number(document.querySelector('#player-host [data-part=stage]').dataset.zoom), half = zoom >> 1;
    const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
    for (let y = half; y < height; y += zoom)
      for (let x = half; x < width; x += zoom) found.push(...data.slice(4 * (y * width + x), 4 * (y * width + x) + 3));
  }
  return found;
}"""
DRIVEN = """() => {
  const canvas = document.querySelector('#drive-host [data-part=model]'), {zoom, border} = canvas.dataset, found = [];
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const side = canvas.width - 2 * border;
  for (let y = 0; y < 64; y++) for (let x = 0; x < 64; x++) {
    const at = v => Number(border) + Math.floor((v + 0.5) * side / 64), i = 4 * (at(y) * canvas.width + at(x));
    found.push(...data.slice(i, i + 3));
  }
  return found;
}"""


def frames_of(page, tile, shape):
    return np.array(page.evaluate(FRAMES, [tile, 0]), np.int16).reshape(shape)


def predict(page):
    page.evaluate("delete document.body.dataset.predicted")
    page.click("#predict")
    page.wait_for_function("document.body.dataset.predicted || document.querySelector('#live-status.problem')")
    assert page.locator("#live-status.problem").count() == 0, page.locator("#live-status").inner_text()


def assert_scores(page, expected, row):
    """The means over frames that stand beside the tiles: the server's, to a digit of each."""
    shown = page.locator("#player-host [data-part=numbers] .main b").all_inner_texts()
    found = dict(zip(expected.scores, (float(text.removesuffix(" dB")) for text in shown), strict=True))
    for name, within in {"PSNR": 0.01, "SSIM": 1e-3, "Sharpness": 0.01}.items():
        assert found[name] == pytest.approx(np.nanmean(expected.scores[name][row]), abs=within), name


@pytest.mark.parametrize(("name", "frames"), [("tiny", N_FUTURE), ("dance", N_FUTURE)])
def test_pictures_are_the_servers(open_page, site_library, name, frames):
    run = site_library.run(name)
    clip = site_library.clips_for(run)[0]
    query = f"?run={name}&clip={clip.name}&seed={SEED}&temperature={TEMPERATURE}&samples={SAMPLES}&frames={frames}"
    page = open_page(query, app="site_url", until=FIRST)
    fields = {"seed": SEED, "temperature": TEMPERATURE, "samples": SAMPLES, "n_future": frames}
    expected = predict_clip(site_library, run, clip, **fields).futures[0]
    assert "loads" in page.locator("#weight").inner_text() and " MB" in page.locator("#weight").inner_text()
    predict(page)
    for k in range(SAMPLES):
        page.select_option("#player-host [data-part=choice]", str(k))
        found = frames_of(page, "Prediction", expected.samples[k].shape)
        assert np.abs(found - expected.samples[k]).max() <= 1
        assert_scores(page, expected, k)
    page.select_option("#player-host [data-part=choice]", "mean")
    assert np.abs(frames_of(page, "Prediction", expected.mean.shape) - expected.mean).max() <= 1
    assert_scores(page, expected, SAMPLES)
    numbers = page.locator("#player-host [data-part=numbers]").inner_text()
    assert f"best of {SAMPLES} (sample {expected.best})" in numbers and "last frame copied" in numbers
    page.wait_for_function("location.search.includes('frame=')")
    for part in (f"run={name}", f"seed={SEED}", f"temperature={TEMPERATURE}", f"frames={frames}", "frame="):
        assert part in page.url


def test_it_drives_and_works_without_a_network_afterwards(open_page, site_library):
    """By keyboard, in a narrow dark window; what is driven is what the server's Drive makes."""
    run, clip = site_library.run("tiny"), site_library.clip("traj_0_to_255/1")
    window = {"viewport": {"width": 400, "height": 800}, "color_scheme": "dark"}
    page = open_page("?run=tiny", app="site_url", until=FIRST, new=True, **window)  # nothing of it is there yet
    assert page.evaluate("document.documentElement.classList.contains('dark')")
    page.focus("#drive-start")
    page.keyboard.press("Enter")
    request = "document.querySelector('#drive-host').dataset.request"
    page.wait_for_function(request)
    server = Drive(site_library, Physics(), run, clip, 0, 1.0)
    page.wait_for_function("document.activeElement.matches('.drive')")  # the button is gone
    for key, move in (("ArrowRight", [0, 1, 0]), ("ArrowDown", [1, 0, 0])):
        before = page.evaluate(request)
        tap(page, key)
        page.wait_for_function(f"{request} > {before}")
        image = server.step(move, 1 if server.frames[-1].fingers >= 0.5 else 0).image
        assert np.abs(np.array(page.evaluate(DRIVEN)).reshape(64, 64, 3) - image.astype(int)).max() <= 1
    assert "frames a second" in page.locator("#drive-host [data-part=note]").inner_text()
    page.click("#latents summary")
    prior = "document.querySelector('#gaussian').toDataURL()"
    before = page.evaluate(prior)
    page.locator("#drive-host .drive").press("Backspace")
    page.wait_for_function("document.querySelector('#drive-host [data-part=counter]').textContent === 'step 1 of 1'")
    page.wait_for_function(f"was => {prior} !== was", arg=before)  # of the step that is left
    assert page.evaluate("document.querySelector('#gaussian').width / devicePixelRatio") > 200  # the prior of that step
    before = page.evaluate(request)
    page.focus("#sliders input")
    page.keyboard.press("End")  # three sigmas up: the last step is made again
    page.wait_for_function(f"{request} > {before} + 1")
    assert page.locator("#sliders output").first.inner_text() == "+3 σ"
    before = page.evaluate(request)
    page.focus("#release")
    page.keyboard.press("Enter")
    page.wait_for_function(f"{request} > {before} + 1")
    assert page.locator("#sliders output").first.inner_text() == "drawn"
    with page.expect_download() as saved:
        page.click("#drive-host [data-do=save]")
    assert saved.value.suggested_filename == "drive-tiny.gif"
    with Image.open(saved.value.path()) as gif:
        assert (gif.n_frames, gif.size) == (run.n_past + 1, (3 * 64 + 6, 3 * 64 + 6))
        gif.seek(run.n_past)
        assert gif.convert("RGB").getpixel((0, 0)) == (213, 30, 30)  # predicted
    assert page.evaluate("document.documentElement.scrollWidth") <= 400

    page.context.set_offline(True)
    page.reload()
    page.wait_for_function(FIRST)
    page.fill("#seed", "11")
    predict(page)
    assert page.locator("#weight").inner_text().startswith("Loaded")


# Messages to the worker pass through here: those of a drive's steps are kept while held, or come back as an error.
BETWEEN = """() => {
  const send = Worker.prototype.postMessage, kept = [];
  window.holding = false; window.failing = 0;
  window.release = () => { holding = false; for (const [worker, data] of kept.splice(0)) send.call(worker, data); };
  Worker.prototype.postMessage = function (data) {
    const step = data.what === 'drive' && data.act === 'step';
    const failed = { data: { id: data.id, error: 'no memory' } };
    if (step && failing) { failing -= 1; setTimeout(() => this.onmessage(failed)); }
    else if (step && holding) kept.push([this, data]);
    else send.call(this, data);
  };
}"""


def test_z_can_be_pushed_again_after_a_step_that_failed(open_page):
    page = open_page("?run=tiny", app="site_url", until=FIRST)
    page.evaluate(BETWEEN)
    page.click("#drive-start")
    page.wait_for_function("document.activeElement.matches('.drive')")
    counter = "document.querySelector('#drive-host [data-part=counter]').textContent"
    for step in (1, 2):
        tap(page, "ArrowRight")
        page.wait_for_function(f"{counter} === 'step {step} of {step}'")
    page.click("#latents summary")
    page.evaluate("failing = 1")
    page.focus("#sliders input")
    page.keyboard.press("End")
    page.locator("#drive-host [data-part=refusal]", has_text="no memory").wait_for()
    assert page.evaluate(counter) == "step 1 of 1"  # what is on screen is what there is
    drawn = page.evaluate(DRIVEN)
    page.keyboard.press("Home")
    page.wait_for_function(f"was => JSON.stringify(({DRIVEN})()) !== was", arg=json.dumps(drawn, separators=(",", ":")))
    assert page.evaluate(counter) == "step 1 of 1"


NOTE_STATUS = """() => {
  const status = document.querySelector('#live-status');
  window.said = [];
  new MutationObserver(() => said.push(status.textContent)).observe(status, {childList: true});
}"""


def test_what_is_under_way_does_not_flood_a_screen_reader(open_page):
    """And what a prediction has said stays while one drives."""
    page = open_page("?run=tiny&samples=1", app="site_url", until=FIRST)
    page.evaluate(NOTE_STATUS)
    predict(page)
    result = page.locator("#live-status").inner_text()
    assert result.startswith("4 frames in ")
    assert [text.split()[0] for text in page.evaluate("said")] == ["Loading", "Predicting", "4"]
    assert page.locator("#live-progress").inner_text() == ""
    page.click("#drive-start")
    page.locator("#drive-host [data-part=content]").wait_for()
    assert page.locator("#live-status").inner_text() == result


# Frames from the worker pass through here: only as many as are let through, the others wait.
GATE = """() => {
  const waiting = [];
  window.let_through = 0;
  window.through = count => {
    let_through += count;
    for (; let_through > 0 && waiting.length; let_through--) waiting.shift()();
  };
  const hand = Object.getOwnPropertyDescriptor(Worker.prototype, 'onmessage').set;
  Object.defineProperty(Worker.prototype, 'onmessage', { set(listener) {
    hand.call(this, event => {
      if (!('t' in event.data) && !waiting.length) return listener(event); // an answer comes after its frames
      waiting.push(() => listener(event));
      through(0);
    });
  }});
}"""
COUNTER = "document.querySelector('#player-host [data-part=counter]').textContent"


def test_who_looks_at_another_frame_is_left_there(open_page):
    page = open_page("?run=tiny&samples=1", app="site_url", until=FIRST)
    page.evaluate(GATE)
    page.click("#predict")
    page.evaluate("through(1)")
    page.wait_for_function(f"{COUNTER} === 'frame 2 of 2'")  # the newest
    page.locator("#player-host [data-part=scrub]").press("Home")
    page.evaluate("through(9)")
    page.wait_for_function("document.body.dataset.predicted")
    assert page.evaluate(COUNTER) == "frame 0 of 5"


def test_enter_in_a_field_asks_anew(open_page):
    page = open_page("?run=tiny&samples=1", app="site_url", until=FIRST)
    page.evaluate(GATE)
    page.focus("#seed")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#live-status').textContent === 'Predicting …'")
    page.fill("#seed", "7")
    page.keyboard.press("Enter")
    page.evaluate("through(99)")
    page.wait_for_function("document.body.dataset.predicted")
    assert page.evaluate(COUNTER) == "frame 5 of 5"  # who has not moved sees the newest
    assert "seed 7" in page.locator("#player-host [data-part=protocol]").inner_text()
    assert "seed=7" in page.url


def test_a_link_to_a_frame_that_has_to_be_predicted(open_page, site_library):
    """It stays in the address until it is, and is then shown."""
    run = site_library.run("tiny")
    frames = run.longest_future(site_library.clips_for(run)[0])
    wanted = run.n_past + frames - 2
    page = open_page(f"?run=tiny&samples=1&frames={frames}&frame={wanted}", app="site_url", until=FIRST)
    page.click("#copy")  # writes the address
    assert f"frame={wanted}" in page.url
    assert page.locator("#live-status").inner_text().startswith("Stored")
    predict(page)
    assert page.evaluate(COUNTER) == f"frame {wanted} of {wanted + 1}"
    page.locator("#player-host [data-part=scrub]").press("Home")
    page.wait_for_function("location.search.includes('frame=0')")


def test_a_file_that_is_not_there_is_named(open_page):
    page = open_page("?run=tiny", app="site_url", until=FIRST, new=True, service_workers="block", complains=True)
    for path in ("**/clips/*.json", "**/model.json"):
        page.route(path, lambda route: route.fulfill(status=404, body="<!doctype html>"))
        page.click("#predict")
        page.wait_for_function("document.querySelector('#live-status.problem')")
        assert ".json: 404" in page.locator("#live-status").inner_text()
        page.unroute(path)


def test_own_actions_end_with_the_clip(open_page, site_library):
    """As in the app's Drive, in its words."""
    run, clip = site_library.run("tiny"), site_library.clips_for(site_library.run("tiny"))[0]
    page = open_page("?run=tiny", app="site_url", until=FIRST)
    page.click("#drive-start")
    counter = "document.querySelector('#drive-host [data-part=counter]').textContent"
    page.wait_for_function("document.activeElement.matches('.drive')")
    for step in range(1, clip.frames - run.n_past + 1):
        tap(page, "o")
        page.wait_for_function(f"{counter} === 'step {step} of {step}'")
    tap(page, "o")
    refusal = "document.querySelector('#drive-host [data-part=refusal]').textContent"
    page.wait_for_function(f"{refusal} || {counter}.startsWith('step {step + 1}')")
    assert page.evaluate(refusal) == "The clip's own actions end here: drive on yourself"


@pytest.mark.parametrize("run", ["tiny", "dance"])
def test_a_drive_is_not_begun_with_numbers_that_are_refused(open_page, run):
    page = open_page(f"?run={run}", app="site_url", until=FIRST)
    page.fill("#temperature", "9")
    page.click("#drive-start")
    page.wait_for_function("document.activeElement.id === 'temperature'")
    assert page.locator("#drive-start").is_visible()
    page.fill("#temperature", "1")
    page.click("#drive-start")
    page.locator("#drive-start").wait_for(state="hidden")
    begun = page.locator("#drive-host canvas" if run == "tiny" else "#pose-board").first
    begun.wait_for()
    page.fill("#seed", "-3")
    page.get_by_role("button", name="Restart").locator("visible=true").click()
    page.wait_for_function("document.activeElement.id === 'seed'")


def test_a_run_that_knows_no_actions_offers_nothing_to_steer_by(open_page):
    page = open_page("?run=tiny", app="site_url", until=FIRST, new=True, service_workers="block")

    def without_actions(route):
        answer = route.fetch()
        menu = answer.json()
        menu["tiny"]["live"]["kind"] = "none"
        route.fulfill(response=answer, json=menu)

    page.route("**/views/menu.json", without_actions)
    page.reload()
    page.wait_for_function(FIRST)
    assert "nothing can steer it" in page.locator("#drive-about").inner_text()
    page.click("#drive-start")
    page.wait_for_function("document.activeElement.matches('.drive')")
    offered = page.locator("#drive-host button:visible, #drive-host select:visible")
    assert offered.all_inner_texts() == ["Next frame", "Undo", "Restart", "Play back", "Save GIF"]
    assert "move" not in page.locator("#drive-keys").inner_text()
    asked = page.locator("#drive-host [data-part=refusal]")  # the graphs of this run take actions
    for key in ("ArrowUp", "f", "o"):
        page.keyboard.press(key)
    assert asked.inner_text() == ""
    page.keyboard.press(" ")
    asked.filter(has_text="This did not work").wait_for()


def test_the_dancer_follows_a_skeleton(open_page):
    page = open_page("?run=dance", app="site_url", until=FIRST)
    page.focus("#drive-start")
    page.keyboard.press("Enter")
    steps = "Number(document.querySelector('#pose-picture').dataset.steps ?? 0)"
    picture = "document.querySelector('#pose-picture').toDataURL()"
    page.wait_for_function(f"{steps} >= 1")
    page.wait_for_function("document.activeElement.id === 'pose-board'")
    before, count = page.evaluate(picture), page.evaluate(steps)
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"{steps} > {count}")
    assert page.evaluate(picture) != before
    box = page.locator("#pose-board").bounding_box()
    count = page.evaluate(steps)
    page.mouse.move(box["x"] + box["width"] * 38 / 64, box["y"] + box["height"] * 18 / 32)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 48 / 64, box["y"] + box["height"] * 8 / 32)
    page.mouse.up()
    page.wait_for_function(f"{steps} > {count}")
    assert page.locator("#pose-joint").input_value() == "left_hand"


def test_a_second_finger_takes_no_joint(open_page):
    page = open_page("?run=dance", app="site_url", until=FIRST)
    page.click("#drive-start")
    steps = "document.querySelector('#pose-picture').dataset.steps"
    page.wait_for_function(f"{steps} === '1'")
    touch = """([type, pointerId, x, y, button]) => {
      const board = document.querySelector('#pose-board'), box = board.getBoundingClientRect();
      board.setPointerCapture = () => {};
      board.dispatchEvent(new PointerEvent(type, {pointerId, button, bubbles: true,
        clientX: box.x + box.width * x / 64, clientY: box.y + box.height * y / 32}));
      return document.querySelector('#pose-joint').value;
    }"""
    board = "document.querySelector('#pose-board').toDataURL()"
    page.evaluate(IDLE)
    before = page.evaluate(board)
    assert page.evaluate(touch, ["pointerdown", 9, 32, 6, 2]) == "right_hand"  # a menu's button
    assert page.evaluate(touch, ["pointerdown", 1, 38, 18, 0]) == "left_hand"
    assert page.evaluate(touch, ["pointerdown", 2, 32, 6, 0]) == "left_hand"
    for pointer in (2, 9):
        page.evaluate(touch, ["pointermove", pointer, 20, 20, -1])
        page.evaluate(touch, ["pointerup", pointer, 20, 20, 0])
    page.evaluate(IDLE)
    assert page.evaluate(board) == before and page.evaluate(steps) == "1"
    page.evaluate(touch, ["pointermove", 1, 40, 16, -1])
    page.wait_for_function(f"{steps} > 1")
    assert page.evaluate(board) != before


def test_after_the_clip_board_and_picture_are_of_the_skeleton(open_page, site_library):
    run = site_library.run("dance")
    page = open_page("?run=dance", app="site_url", until=FIRST)
    page.click("#drive-start")
    page.wait_for_function("document.querySelector('#pose-picture').dataset.steps === '1'")
    page.click("#pose-follow")
    poses = run.n_past + run.longest_future(site_library.clips_for(run)[0])
    page.wait_for_function(f"document.querySelector('#pose-picture').dataset.steps === '{1 + (poses - 1) + 1}'")


def test_following_the_clip_waits_for_a_step_that_is_on_its_way(open_page):
    """And Restart for the clip's step: the first pose of the new drive is frame 1."""
    page = open_page("?run=dance", app="site_url", until=FIRST)
    page.evaluate(BETWEEN)
    page.click("#drive-start")
    page.wait_for_function("document.querySelector('#pose-picture').dataset.steps === '1'")
    page.evaluate("holding = true")
    page.keyboard.press("ArrowLeft")
    page.click("#pose-follow")
    page.evaluate("release()")
    page.wait_for_function("document.querySelector('#pose-picture').dataset.steps > 3")
    page.evaluate("holding = true")
    page.wait_for_function("document.querySelector('#pose-follow').textContent === 'Stop'")
    page.click("#pose-restart")
    page.evaluate("release()")
    page.wait_for_function("document.querySelector('#pose-follow').textContent === 'Follow the clip'")
    page.wait_for_function("document.querySelector('#pose-picture').dataset.steps === '1'")


def test_runs_are_compared_by_the_same_noise(open_page):
    """A run beside itself by another name: the same pictures."""
    page = open_page("?run=tiny&samples=1&frames=3", app="site_url", until=FIRST, service_workers="block")

    def twice(route):
        answer = route.fetch()
        menu = answer.json()
        colourless = {**menu["tiny"], "live": {**menu["tiny"]["live"], "colour": None}}  # more runs than colours
        twins = {"tiny-twin": colourless, "tiny of 2, & more": colourless}
        clip, *_ = menu["tiny"]["live"]["clips"]
        live = {**menu["tiny"]["live"], "clips": {"another/1": menu["tiny"]["live"]["clips"][clip]}}
        route.fulfill(response=answer, json={**menu, **twins, "of other clips": {**menu["tiny"], "live": live}})

    page.route("**/views/menu.json", twice)
    page.reload()
    page.wait_for_function(FIRST)
    page.click("#compare summary")
    assert page.locator("#compare input").count() == 2  # it cannot be told whether the third can continue this clip
    page.check("#compare input[value=tiny-twin]")
    assert "with=tiny-twin" in page.url
    predict(page)
    one, other = (frames_of(page, tile, (-1, 64, 64, 3)) for tile in ("tiny", "twin"))
    assert len(one) == 5 and np.array_equal(one, other)
    assert page.locator("#player-host [data-part=numbers] tr").count() == 4  # names, two runs, the last frame copied
    swatches = (
        "[...document.querySelectorAll('#player-host [data-part=numbers] .swatch')].map(dot => dot.style.background)"
    )
    assert len(set(page.evaluate(swatches))) == 2
    page.check("#compare input[value='tiny of 2, & more']")
    ticked = "[...document.querySelectorAll('#compare input:checked')].map(box => box.value)"
    for opened, others in (
        (page.url, ["tiny-twin", "tiny of 2, & more"]),
        (page.url.split("with=")[0] + "with=tiny-twin+gone", ["tiny-twin"]),  # a link of an earlier page
    ):
        page.goto(opened)
        page.wait_for_function(FIRST)
        assert page.evaluate(ticked) == others


@pytest.fixture
def slow(open_page):
    """slow(query, button): a page on which a button was pressed, and the model that it needs comes with `come()`."""

    def slow_(query, button):
        page, waiting, came = open_page(query, app="site_url", until=FIRST, new=True, service_workers="block"), [], []
        page.route("**/*.onnx", lambda route: route.continue_() if came else waiting.append(route))
        with page.expect_request("**/*.onnx"):
            page.click(button)

        def come():
            came.append(True)
            for route in waiting:
                route.continue_()

        return page, come

    return slow_


def test_a_prediction_that_was_stopped_while_its_model_came_stays_so(slow):
    """It neither ends the next one nor says a word."""
    page, come = slow("?run=tiny", "#predict")
    page.click("#predict")
    assert page.locator("#live-status").inner_text() == "Stopped."
    come()
    page.select_option("#run", "dance")
    predict(page)
    assert "frames in" in page.locator("#live-status").inner_text()


def test_a_model_that_comes_late_opens_nothing_under_another_run(slow):
    page, come = slow("?run=dance", "#drive-start")
    page.select_option("#run", "tiny")
    come()
    predict(page)  # the worker has had the dancer's files before
    assert not page.locator("#poses").is_visible()
    assert page.locator("#drive-start").inner_text() == "Drive"


@pytest.mark.parametrize("file", ["ort-wasm-simd-threaded.wasm", "worker.mjs"])
def test_a_network_that_comes_back_is_enough(open_page, file):
    window = {"new": True, "service_workers": "block", "complains": True}
    page = open_page("?run=tiny&frames=2", app="site_url", until=FIRST, **window)
    gone = []

    def fail(route):
        gone.append(route.request.url)
        route.fulfill(status=404)

    page.route(f"**/{file}", fail)
    page.click("#predict")
    page.locator("#live-status.problem").wait_for()
    page.click("#drive-start")
    page.locator("#drive-start").wait_for()  # there again
    assert gone
    page.unroute_all()
    predict(page)
    page.click("#drive-start")
    page.locator("#drive-host [data-part=content]").wait_for()


def test_where_there_is_no_room_to_keep_the_files_they_are_used_all_the_same(open_page):
    page = open_page("?run=tiny&frames=2", app="site_url", until=FIRST, new=True)
    room = {"origin": page.evaluate("location.origin"), "quotaSize": 3_000_000}
    page.context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", room)
    predict(page)


def test_without_simd_it_says_so(open_page):
    page = open_page("?run=tiny", app="site_url", until=FIRST, new=True)
    page.add_init_script("WebAssembly.validate = () => false")
    page.reload()
    page.wait_for_function(FIRST)
    assert "no WebAssembly SIMD" in page.locator("#missing").inner_text()
    assert not page.locator("#live").is_visible()
