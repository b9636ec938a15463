"""One's own film and run in a real browser."""

import zipfile

import numpy as np

from tests.e2e.page import answered
from vidpred import render

SHOWN = "document.querySelector('#yours-player [data-request]')?.dataset.request"


def upload(page, path):
    page.locator("#yours-file input[type=file]").set_input_files(path)


def test_a_run_and_a_film_of_one_s_own(open_page, tiny_run, tiny_data, tmp_path):
    page = open_page(tab="Your data")
    page.wait_for_function(SHOWN)
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for name in ("config.json", "model.safetensors", "metrics.jsonl"):
            archive.write(tiny_run / name, name)
    answered(page, lambda: upload(page, tmp_path / "mine.zip"), SHOWN)
    assert page.get_by_text("mine: Learned prior").is_visible()
    clip = tiny_data / "test" / "traj_0_to_255" / "3"
    with zipfile.ZipFile(tmp_path / "clip.zip", "w") as archive:
        for file in clip.iterdir():
            archive.write(file, file.name)
    page.locator("#yours-file").get_by_label("Clear").click()
    answered(page, lambda: upload(page, tmp_path / "clip.zip"), SHOWN)
    assert page.get_by_text("16 frames of 64 x 64 pixels (every frame taken)").is_visible()
    assert page.locator("#yours-crop img").is_visible()
    assert page.get_by_label("number input for Predicted frames").last.input_value() == "4"
    assert page.get_by_text("mine", exact=True).first.is_visible()  # the run stays chosen

    render.save_gif(tmp_path / "film.gif", np.zeros((9, 40, 60, 3), np.uint8))
    page.locator("#yours-file").get_by_label("Clear").click()
    upload(page, tmp_path / "film.gif")
    page.get_by_text("None of the runs here can continue film.gif").wait_for()
    assert page.get_by_text("Error", exact=True).locator("visible=true").count() == 2  # a tile and its button


def test_another_visitor_sees_nothing_of_it(open_page, tiny_data, tmp_path):
    with zipfile.ZipFile(tmp_path / "secret.zip", "w") as archive:
        for file in (tiny_data / "test" / "traj_0_to_255" / "3").iterdir():
            archive.write(file, file.name)
    mine = open_page(tab="Your data")
    mine.wait_for_function(SHOWN)
    answered(mine, lambda: upload(mine, tmp_path / "secret.zip"), SHOWN)
    other = open_page(tab="Your data")
    other.wait_for_function(SHOWN)
    for page, there in ((mine, 1), (other, 0)):
        page.get_by_label("Clip", exact=True).last.click()
        page.get_by_role("option", name="traj_0_to_255/1").wait_for()  # the menu is open
        assert page.get_by_role("option", name="secret.zip").count() == there


def test_the_step_between_frames_is_chosen_by_keys(open_page, tmp_path):
    page = open_page(app="bundled_url", tab="Your data", until=SHOWN)
    brighter = np.arange(0, 240, 20, np.uint8)[:, None, None, None]
    render.save_gif(tmp_path / "film.gif", np.broadcast_to(brighter, (12, 64, 64, 3)))
    upload(page, tmp_path / "film.gif")
    page.get_by_text("(every frame taken)").wait_for()
    step = page.get_by_label("Every n-th frame")
    step.focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        step.press(key)
    page.get_by_text("every 3rd frame taken").wait_for()
