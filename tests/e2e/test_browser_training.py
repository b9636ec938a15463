"""Training and Learn in a real browser: zoom, a designed schedule, its command on the clipboard, pictures that move."""

import contextlib
import io
import json
import shlex

import numpy as np
import pytest
import torch

from tests.e2e.page import STILL, settled
from train import svg
from vidpred import metrics
from vidpred.explorer.learn.tab import PAGES
from vidpred.presets import preset

SHOWN = "document.querySelector('#{} [data-request]')?.dataset.request"
VIEW = "document.querySelector('#training-chart [data-request]').dataset.view"
CANVAS = """name => [...document.querySelector(`#learn-scores canvas[data-part=${name}]`)
  .getContext('2d').getImageData(0, 0, 64, 64).data]"""


def shown(page, chart, after=None):
    """Wait until a chart has drawn a value (another one than `after`)."""
    request = SHOWN.format(chart)
    page.wait_for_function(f"{request} && {request} !== {json.dumps(after)}")
    return page.evaluate(request)


def plots(page, chart="training-chart"):
    return page.locator(f"#{chart} svg.plot[role=img]")


def drag(page, plot, start, end):
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + start * box["width"], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], box["y"] + 60, steps=3)
    page.mouse.up()


def curve(page, number):
    return plots(page).nth(number).locator("path.curve").first.get_attribute("d")


def test_a_zoom_is_on_every_plot(open_page):
    page = open_page(tab="Training")
    shown(page, "training-chart")
    assert plots(page).count() == 9
    before = [curve(page, number) for number in (0, 5)]
    drag(page, plots(page).nth(0), 0.4, 0.7)
    page.wait_for_function(VIEW)
    low, high = map(float, page.evaluate(VIEW).split())
    assert 0 < low < high < 3
    assert all(curve(page, number) != old for number, old in zip((0, 5), before))
    plots(page).nth(5).dblclick()
    page.wait_for_function(f"{VIEW} === ''")
    assert [curve(page, number) for number in (0, 5)] == before
    plots(page).nth(3).focus()
    page.keyboard.press("+")
    page.wait_for_function(VIEW)
    page.get_by_role("button", name="Show everything").click()
    page.wait_for_function(f"{VIEW} === ''")


def test_curves_that_come_during_a_drag_wait_for_its_end(open_page):
    """As those of a training that is followed do. The drag ends outside its plot, which must still be there."""
    page = open_page(tab="Training")
    first, box = shown(page, "training-chart"), plots(page).nth(0).bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 60)
    page.evaluate("eventsOfTest.sent = 0")
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 60, steps=3)
    page.get_by_label("Logarithmic scale").evaluate("box => box.click()")
    page.wait_for_function("eventsOfTest.sent")
    settled(page)
    assert page.evaluate(SHOWN.format("training-chart")) == first
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] - 40, steps=3)
    page.mouse.up()
    page.wait_for_function(VIEW)
    shown(page, "training-chart", first)
    assert page.locator("#training-chart .brush").count() == 0


def test_reading_off_smoothing_and_logarithm(open_page):
    page = open_page(tab="Training")
    first = shown(page, "training-chart")
    plots(page).nth(5).scroll_into_view_if_needed()
    box = plots(page).nth(5).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    tip = page.locator("#training-chart .tip:not([hidden])")
    assert "tiny (validation)" in tip.inner_text()
    plots(page).nth(5).focus()
    page.keyboard.press("ArrowRight")
    heard = page.locator("#training-chart output").inner_text()  # what a screen reader says
    assert heard.startswith("epoch ") and "; tiny (validation) " in heard
    page.get_by_label("Logarithmic scale").check()
    second = shown(page, "training-chart", first)
    page.get_by_label("number input for Smoothing").fill("0.8")
    page.keyboard.press("Enter")
    shown(page, "training-chart", second)
    page.wait_for_function("document.querySelectorAll('#training-chart path.curve.faint').length === 8")
    third = page.evaluate(SHOWN.format("training-chart"))
    page.get_by_role("button", name="tiny", exact=True).click()
    assert page.locator("#training-chart path.curve").count() == 0
    page.get_by_label("Logarithmic scale").evaluate("box => box.click()")
    shown(page, "training-chart", third)
    assert page.evaluate("document.activeElement.textContent") == "tiny"  # the legend is new, and has the focus


def test_curves_are_chosen_from_a_table_that_sorts(open_page):
    page = open_page("?tab=training", app="bundled_url", until=SHOWN.format("training-chart"))
    shown(page, "training-table")
    table, names = page.locator("#training-table"), "label span span"
    listed = table.locator(names).all_inner_texts()
    heading = table.get_by_role("columnheader", name="PSNR")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    scores = [float(text.split()[0]) for text in table.locator("tbody td:nth-child(6)").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    heading.get_by_role("button").click()
    assert table.locator(names).all_inner_texts() != listed
    row = table.locator("tbody tr", has_text="push-learned-calibrated")
    before = shown(page, "training-chart")
    row.get_by_role("checkbox").check()
    shown(page, "training-chart", before)
    assert page.locator("#training-chart").get_by_role("button", name="push-learned-calibrated").is_visible()
    ticked = table.locator("tr.chosen").count()
    page.get_by_label("Runs", exact=True).locator("visible=true").press("Backspace")
    page.wait_for_function(f"document.querySelectorAll('#training-table tr.chosen').length === {ticked - 1}")
    row.get_by_role("checkbox").focus()
    before = page.evaluate(SHOWN.format("training-table"))
    page.get_by_label("Follow a training").evaluate("box => box.click()")
    shown(page, "training-table", before)
    assert row.get_by_role("checkbox").evaluate("box => box === document.activeElement")


def test_a_figure_is_drawn_and_downloaded(open_page):
    page = open_page(tab="Training")
    page.get_by_text("The reports' figures, as PNG").click()
    page.get_by_role("button", name="Draw", exact=True).click()
    button = page.get_by_role("button", name="Download PNG")
    page.wait_for_function("[...document.querySelectorAll('button, a')].some(b => "
                           "b.innerText.trim() === 'Download PNG' && !b.disabled)")  # fmt: skip
    with page.expect_download() as download:
        button.click()
    assert download.value.suggested_filename == "dashboard.png"


def test_what_is_chosen_is_seen_under_the_mouse(open_page):
    page = open_page(tab="Training")
    page.get_by_role("tab", name="Schedule designer").click()
    chosen = page.locator("input[type=radio]:checked >> visible=true").first
    ground = "input => getComputedStyle(input).backgroundColor"
    before = chosen.evaluate(ground)
    chosen.hover()
    page.evaluate(STILL)
    assert chosen.evaluate(ground) == before


def test_a_schedule_is_designed_and_its_command_copied(open_page, app_url):
    page = open_page(tab="Training")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app_url)
    page.get_by_role("tab", name="Schedule designer").click()
    first = shown(page, "schedule-chart")
    page.get_by_label("Cycles", exact=True).fill("3")
    second = shown(page, "schedule-chart", first)
    page.locator("#design-kl-anneal-shape").get_by_text("cosine").click()
    third = shown(page, "schedule-chart", second)
    page.wait_for_function("document.querySelector('#command textarea').value.includes('cosine')")
    page.locator("#command button").click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.includes('cosine'))")
    command = page.evaluate("navigator.clipboard.readText()")
    python, dash_m, module, *words = shlex.split(command)
    assert (python, dash_m, module) == ("python", "-m", "train.svg")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        svg.main([*words, "--dry-run"])
    expected = preset("small").to_dict()["train"] | {"kl_anneal_cycles": 3, "kl_anneal_shape": "cosine"}
    assert json.loads(printed.getvalue())["train"] == expected

    page.get_by_label("Cycles", exact=True).fill("3000")
    page.get_by_text("the rise of beta would take").wait_for()
    assert page.evaluate(SHOWN.format("schedule-chart")) == third  # the last good curves stay
    page.locator("#design-kl-anneal").get_by_text("none").click()
    shown(page, "schedule-chart", third)
    page.get_by_label("Cycles", exact=True).wait_for(state="hidden")


def test_every_page_has_its_pictures_and_its_door(open_page):
    page = open_page(tab="Learn")
    for what in PAGES.values():
        page.get_by_role("tab", name=what.title, exact=True).click()
        page.locator(".lesson .katex:visible").first.wait_for()
        page.get_by_role("button", name=what.button).click()
        tab = what.tab.capitalize()
        page.wait_for_function(f"""[...document.querySelectorAll('[role=tab][aria-selected=true]')]
          .some(tab => tab.innerText.trim() === '{tab}')""")
        page.get_by_role("tab", name="Learn", exact=True).click()
    page.get_by_role("tab", name="Annealing", exact=True).click()
    page.get_by_role("button", name=PAGES["annealing"].button).click()
    page.locator("#schedule-chart svg.plot[role=img]").first.wait_for()


def test_noise_follows_the_sliders(open_page):
    page = open_page(tab="Learn")
    page.get_by_role("tab", name=PAGES["noise"].title).click()
    says = page.locator("#learn-noise [data-part=says]")
    page.locator("#learn-noise input[data-part=mu]").fill("2")
    page.locator("#learn-noise input[data-part=sigma]").fill("0")
    assert "so z = 2.00 + 0.00" in says.inner_text() and "= 2.00." in says.inner_text()
    before = page.locator("#learn-noise svg").inner_html()
    page.get_by_role("button", name="New noise").click()
    assert page.locator("#learn-noise svg").inner_html() != before


def test_the_page_s_kl_psnr_and_ssim_are_the_project_s(open_page):
    page = open_page(tab="Learn")
    page.get_by_role("tab", name=PAGES["priors"].title).click()
    for name, value in {"mu_q": "1", "sigma_q": "0.5", "mu_p": "-0.5", "sigma_p": "2"}.items():
        page.locator(f"#learn-priors input[data-part={name}]").fill(value)
    q, p = torch.distributions.Normal(1.0, 0.5), torch.distributions.Normal(-0.5, 2.0)
    kl = torch.distributions.kl_divergence(q, p).item()
    assert f"KL = {kl:.2f} nats" in page.locator("#learn-priors [data-part=says]").inner_text()

    page.get_by_role("tab", name=PAGES["scores"].title).click()
    for kind in ("noise", "blur", "shift", "light"):
        page.locator("#learn-scores select").select_option(kind)
        page.locator("#learn-scores input").fill("4")
        truth, changed = (
            torch.tensor(np.array(page.evaluate(CANVAS, name)).reshape(64, 64, 4)[..., :3] / 255).permute(2, 0, 1)[None]
            for name in ("truth", "changed")
        )
        text = page.locator("#learn-scores .scores").inner_text()
        assert f"{metrics.METRICS['psnr_finn'](truth, changed).item():.2f} dB" in text
        assert f"{metrics.METRICS['ssim_finn'](truth, changed).item():.3f}" in text


@pytest.mark.parametrize("tab", ["Training", "Learn"])
def test_phone_in_the_dark(open_page, tab):
    page = open_page("?__theme=dark", tab=tab, viewport={"width": 400, "height": 800})
    page.locator("svg.plot[role=img]:visible").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
