"""Words that a newcomer can read: terms explain themselves, and no label is cut or squeezed."""

import pytest

from tests.e2e.page import SHOWN, settled
from vidpred.explorer.ui.glossary import GLOSSARY

COMPARED = "?tab=compare&runs=push-fixed-cyclical,push-free-learned-cyclical"
PLAYER = SHOWN.replace("#player", "#compare-player")


def test_a_term_is_explained_to_mouse_keyboard_and_finger(open_page):
    page = open_page(COMPARED, app="bundled_url", until=PLAYER)
    finn, tip = page.locator("#compare-player .protocol abbr"), page.locator("#term-tip")
    finn.filter(has_text="finn").hover()
    assert tip.inner_text() == GLOSSARY["finn"]
    page.mouse.move(0, 0)
    tip.wait_for(state="hidden")
    term = page.locator(".answer abbr").first
    term.focus()
    assert tip.inner_text() == GLOSSARY[term.inner_text().lower()]
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "term-tip"
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_a_term_stands_out_once_in_a_block_and_stays_while_the_player_plays(open_page):
    page = open_page(COMPARED, app="bundled_url", until=PLAYER)
    settled(page)
    for block in page.locator(".figures, .answer, #compare-player .protocol").all():
        found = [text.lower() for text in block.locator("abbr.term").all_inner_texts()]
        assert len(found) == len(set(found))
    terms = page.evaluate("document.querySelectorAll('abbr.term').length")
    page.locator("#compare-player").get_by_label("Next frame").click()
    assert page.evaluate("document.querySelectorAll('abbr.term').length") == terms


@pytest.mark.parametrize("width", [390, 1280])
def test_labels_of_the_strip_are_whole_words(open_page, width):
    page = open_page(COMPARED, app="bundled_url", until=PLAYER, viewport={"width": width, "height": 900})
    said = page.locator("#compare-player [data-part=gutter]").get_attribute("data-lines")
    assert said.replace("|", "").split("; ") == ["Truth", "fixed", "free-learned"]
    widths = (
        "[...document.querySelectorAll('#compare-player .film > *')].map(part => part.getBoundingClientRect().right)"
    )
    assert max(page.evaluate(widths)) <= width


TOUCHING = """[...document.querySelectorAll('svg.plot')].flatMap(plot => {
  const texts = [...plot.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
  return texts.flatMap(([one, a], i) => texts.slice(i + 1).filter(([, b]) => a.width && b.width
    && a.left < b.right && b.left < a.right && a.top + 4 < b.bottom && b.top + 4 < a.bottom)
    .map(([other]) => one + ' on ' + other));
})"""


def test_ticks_of_a_chart_do_not_touch(open_page):
    """Also where a curve goes to 100 samples, and the ticks are those that people ask for."""
    url = "?tab=latents&run=push-free-learned-cyclical"
    until = SHOWN.replace("#player", "#lens-player")
    page = open_page(url, app="bundled_url", until=until, viewport={"width": 390, "height": 900})
    settled(page)
    assert "100" in page.locator("svg.plot[aria-label*='Best of N'] text").all_text_contents()
    assert page.evaluate(TOUCHING) == []


def test_how_a_claim_is_measured_reads_as_one_sentence(open_page):
    """The terms in it too."""
    page = open_page(tab="Findings")
    measured = page.locator(".claim .head > span:last-child")
    measured.locator("abbr").first.wait_for()
    said = measured.all_inner_texts()
    assert any("validation PSNR" in text for text in said) and not any("\n" in text for text in said)


def test_keys_work_when_a_tab_opens_and_a_field_keeps_them(open_page):
    page = open_page(COMPARED, app="bundled_url", until=PLAYER)
    settled(page)
    counter = page.locator("#compare-player [data-part=counter]")
    before = counter.inner_text()
    page.keyboard.press("ArrowRight")
    assert counter.inner_text() != before
    page.get_by_role("tab", name="Drive", exact=True).click()
    page.wait_for_function(SHOWN.replace("#player", "#drive"))
    page.wait_for_function("document.activeElement?.classList.contains('drive')")
    page.get_by_label("Seed", exact=True).locator("visible=true").focus()
    page.locator("#drive").scroll_into_view_if_needed()
    assert page.evaluate("document.activeElement.tagName") == "INPUT"


def test_on_a_phone_the_upload_is_followed_by_what_comes_of_it(open_page):
    page = open_page(
        "?tab=yours", until=SHOWN.replace("#player", "#yours-player"), viewport={"width": 390, "height": 800}
    )
    places = [
        page.locator(place).first.bounding_box()["y"]
        for place in ("#yours-file", "#yours-player", ".column.yours input[type=range]")
    ]
    assert places == sorted(places)
