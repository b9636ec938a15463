"""docs/tour.md, walked in a real browser with the bundled runs: what it says is so, and its pictures are taken.

`python -m pytest -m slow tests/e2e/test_tour.py --pictures` writes them to docs/.
"""

import re
import struct

import numpy as np
import pytest

from tests.commands import ROOT
from tests.e2e.page import SHOWN, STILL, answered
from vidpred import render
from vidpred.explorer.findings.forest import lacking, number
from vidpred.explorer.findings.stored import read_findings
from vidpred.explorer.runs import comparison
from vidpred.explorer.runs.curves import metrics_rows
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.runs.prediction import predict_clip

TOUR = (ROOT / "docs" / "tour.md").read_text()
PAIR = ["push-free-fixed-cyclical", "push-free-learned-cyclical"]
SCHEDULES = [f"push-free-learned-{name}" for name in ("cyclical", "monotonic", "none")]
DESKTOP = {"width": 1280, "height": 940}


@pytest.fixture(scope="module")
def library():
    return Library(
        [ROOT / "assets" / "runs"], [ROOT / "assets" / "data" / name for name in ("robot_push", "bounce", "dance")]
    )


@pytest.fixture
def take(request, tmp_path):
    """Takes a picture of the page, for docs/ where they are asked for."""
    folder = ROOT / "docs" if request.config.getoption("--pictures") else tmp_path

    def take_(page, name, **options):
        page.evaluate("document.activeElement.blur()")
        page.evaluate(STILL)
        page.screenshot(path=folder / f"{name}.png", **options)
        assert (folder / f"{name}.png").stat().st_size > 10_000
        assert f"{name}.png" in TOUR

    return take_


def request_of(player):
    """What a player shows now, as JavaScript."""
    return SHOWN.replace("#player", player)


def to_frame(page, player, frame):
    page.locator(f"{player} input[data-part=scrub]").fill(str(frame))


def said(pattern):
    """The numbers that the tour gives, found by the words around them."""
    return [float(number) for number in re.search(pattern, TOUR.replace("\n", " ")).groups()]


ANSWERED = {  # question -> what is clicked from the first page on, where the answer stands, and what it says
    "Which prior is better?": ([("tab", "Compare")], ".answer", "is better than"),
    "What does KL annealing do?": (
        [
            ("tab", "Compare"),
            ("combobox", "A question"),
            ("option", "What does KL annealing do? Cyclical, monotonic or"),
        ],
        ".answer",
        "onotonic beta (push-free-learned-monotonic)",
    ),
    "What does temperature do?": ([("checkbox", "Side by side")], "#player [data-part=stage]", "T = 1.5"),
    "Why is it blurry?": ([("tab", "Learn"), ("tab", "What went wrong?")], ".lesson >> visible=true", "Blur:"),
    "How do I train my own?": (
        [("tab", "Training"), ("tab", "Schedule designer")],
        "#command >> visible=true",
        "The command that trains it",
    ),
}
MOST_CLICKS = 3


@pytest.mark.parametrize("question", ANSWERED)
def test_five_questions_are_answered_within_three_clicks(open_page, take, question):
    clicks, place, answer = ANSWERED[question]
    assert len(clicks) <= MOST_CLICKS
    assert f"| {question} |" in TOUR
    page = open_page(app="bundled_url", viewport=DESKTOP)
    for role, name in clicks:
        page.get_by_role(role, name=name).locator("visible=true").first.click()
    page.locator(place).filter(has_text=answer).first.wait_for()
    if question == "Why is it blurry?":
        page.locator("#learn-chart-wrong path.curve").first.wait_for(state="attached")
        take(page, "tour-wrong")


def test_predict(open_page, take):
    page = open_page(app="bundled_url", viewport=DESKTOP)
    to_frame(page, "#player", 6)
    take(page, "app")


def test_temperature(open_page, take, library):
    page = open_page(app="bundled_url", viewport=DESKTOP)
    answered(page, page.get_by_label("Side by side").check)
    to_frame(page, "#player", 8)
    take(page, "tour-temperature", full_page=True)
    run = library.run("long-push-free-learned-cyclical")
    clip = library.clips_for(run)[0]
    assert page.get_by_label("Run", exact=True).first.input_value().endswith(run.name)
    best = {}
    for seed in map(int, said(r"with seeds (\d) and (\d) it does up to T = 1, .*? with seed (\d) none")):
        futures = predict_clip(library, run, clip, seed=seed, samples=10, sweep=True).futures
        spread = [future.spread.mean() for future in futures]
        average = [future.scores["PSNR"][:-1].mean() for future in futures]
        best[seed] = [future.scores["PSNR"][future.best].mean() for future in futures]
        assert spread[0] == 0 and (np.diff(spread) > 0).all() and (np.diff(average[1:]) < 0).all()
    *right, wrong = best.values()
    assert all(min(each[1:3]) > each[0] > max(each[3:]) for each in right) and wrong[0] > max(wrong[1:])


def test_two_priors(open_page, take, library):
    page = open_page(
        "?tab=compare&clip=traj_0_to_255/6", app="bundled_url", until=request_of("#compare-player"), viewport=DESKTOP
    )
    to_frame(page, "#compare-player", 8)
    take(page, "tour-compare", full_page=True)
    pair, clip = comparison.first_runs(library), library.clip("traj_0_to_255/6")
    assert names(pair) == PAIR
    fixed, learned = (predict_clip(library, run, clip, samples=3).futures[0] for run in pair)
    ahead = learned.scores["PSNR"][0] - fixed.scores["PSNR"][0]
    assert (np.rint(ahead[:5].min()), np.rint(ahead[:5].max())) == (2, 8) and (ahead[5:] < 0).all()
    scores = [run.evaluation.psnr for run in pair]
    assert said(r"([\d.]+) dB with the learned prior, ([\d.]+) with") == [round(s, 2) for s in reversed(scores)]


def test_annealing(open_page, take, library):
    page = open_page("?tab=compare", app="bundled_url", until=request_of("#compare-player"), viewport=DESKTOP)
    page.get_by_label("A question", exact=True).click()
    group = page.get_by_role(
        "option", name="What does KL annealing do? Cyclical, monotonic or constant beta (learned prior, no actions)"
    )
    answered(page, group.click, request_of("#compare-player"))
    page.locator("#compare-chart").get_by_text("push-free-learned-monotonic").first.wait_for()
    take(page, "tour-annealing", full_page=True)
    chosen = [library.run(name) for name in SCHEDULES]
    rows = [metrics_rows(run) for run in chosen]
    last = [round(each[-1]["kld"] / 11, 2) for each in rows]  # 12 frames are 11 steps
    assert said(r"with ([\d.]+) nats per step, the monotonic run with ([\d.]+), and .*? with ([\d.]+)\.") == last
    cyclical = rows[0]
    falls = [t for t in range(1, len(cyclical)) if cyclical[t]["beta"] < 0.5 * cyclical[t - 1]["beta"]]
    assert [int(number) for number in said(r"epochs (\d+), (\d+) and (\d+)")] == falls
    for t in falls:
        assert max(row["kld"] for row in cyclical[t : t + 4]) > 1.8 * cyclical[t - 1]["kld"]
    calibrated = library.run("push-free-learned-calibrated")
    assert max([*chosen, calibrated], key=lambda run: run.evaluation.psnr_best) == chosen[0]
    assert said(r"ends with (\d+) nats, more") == [round(metrics_rows(calibrated)[-1]["kld"] / 11)]


def test_findings(open_page, take):
    """Whether cyclical annealing helped, by how much and how sure that is, stands at the top of the tab."""
    claims = {claim["id"]: claim for claim in read_findings()["claims"]}
    page = open_page(app="bundled_url", tab="Findings", viewport=DESKTOP)
    for name in ("cyclical-monotonic", "learned-fixed"):
        rows = page.locator(f"#claim-{name} .row:not(.head)")
        rows.first.wait_for()
        for row, setting in zip(rows.all_inner_texts(), claims[name]["settings"], strict=True):
            known = setting["mean"] is not None
            said_of_it = (number(setting["mean"]), setting["verdict"]) if known else (lacking(setting),)
            assert all(word in row for word in (setting["setting"], *said_of_it))
    link = page.get_by_role("link", name=claims["cyclical-monotonic"]["says"])
    assert link.bounding_box()["y"] < DESKTOP["height"]  # seen without scrolling, under its verdict
    link.click()
    page.wait_for_function("document.querySelector('#claim-cyclical-monotonic').getBoundingClientRect().top < 100")
    page.evaluate("window.scrollTo(0, 0)")
    page.locator("#findings-chart path.curve").first.wait_for(state="attached")
    take(page, "tour-findings")
    page.get_by_role("button", name="Compare two runs").first.click()
    page.wait_for_function(request_of("#compare-player"))


def test_training_one_s_own(open_page, take):
    page = open_page("?tab=training", app="bundled_url", until=request_of("#training-chart"), viewport=DESKTOP)
    page.get_by_role("tab", name="Schedule designer").click()
    page.get_by_label("monotonic").last.check()
    command = "document.querySelector('#command textarea').value"
    page.wait_for_function(f"{command}.includes('--train.kl-anneal monotonic')")
    take(page, "tour-train")


def test_a_film_of_one_s_own(open_page, take, tmp_path):
    y, x = np.mgrid[:180, :320]
    frames = np.stack([60 + x / 4, 90 + y / 3, 120 + 0 * x], -1).astype(np.uint8)[None].repeat(40, 0)
    for t, frame in enumerate(frames):
        ball = (x - 160 - 60 * np.sin(t / 6)) ** 2 + (y - 90 - 40 * np.cos(t / 8)) ** 2 < 900
        frame[ball] = 230, 120, 40
    render.save_mp4(tmp_path / "ball.mp4", frames, fps=30)
    page = open_page("?tab=yours", app="bundled_url", until=request_of("#yours-player"), viewport=DESKTOP)
    file = page.locator("#yours-file input[type=file]")
    answered(page, lambda: file.set_input_files(tmp_path / "ball.mp4"), request_of("#yours-player"))
    assert page.get_by_text("40 frames of 320 x 180 pixels").is_visible()
    take(page, "tour-yours", full_page=True)


def test_driving(open_page, take):
    page = open_page("?tab=drive", app="bundled_url", until=request_of("#drive"), viewport=DESKTOP)
    for _ in range(4):
        answered(page, lambda: page.locator(".drive").press("ArrowRight"), request_of("#drive"))
    page.get_by_text("model is at").wait_for()  # how far from the true physics
    take(page, "tour-drive")


def test_in_the_dark_and_on_a_phone(open_page, take):
    take(open_page("?__theme=dark", app="bundled_url", viewport=DESKTOP), "dark")
    page = open_page("?__theme=dark", app="bundled_url", viewport={"width": 400, "height": 860})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    take(page, "phone")


@pytest.mark.parametrize("name", re.findall(r"\]\((\S+?\.png)\)", TOUR))
def test_the_pictures_are_there(name):
    """And no screenshot is larger than a page should carry."""
    content = (ROOT / "docs" / name).read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", content[16:20])[0] >= 400
    assert len(content) < 1_000_000
