"""axe-core finds nothing serious in any tab: names for screen readers, contrast of at least 4.5, reach by keys."""

import os

import pytest

from tests.e2e.page import SHOWN, STILL, settled
from vidpred.explorer.export.runtime import fetch

TABS = ("Predict", "Compare", "Training", "Drive", "Latents", "Your data", "Findings", "Learn")
# The rules that fail, each with where. A colour over a picture cannot be judged and is no failure.
RUN = """axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations
  .filter(({impact}) => impact === 'serious' || impact === 'critical')
  .map(({id, nodes}) => `${id}: ${nodes.map(node => node.target.join(' ') + ' ' + node.failureSummary).join('; ')}`))"""


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The checker's script, from npm. Where it cannot be fetched, its tests are skipped; in CI that is a failure."""
    folder = tmp_path_factory.mktemp("axe")
    if not fetch("axe-core", "4.14", ["axe.min.js"], folder):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("npm could not fetch axe-core")
    return (folder / "axe.min.js").read_text()


@pytest.mark.parametrize(("theme", "widths"), [("light", (1280, 390)), ("dark", (768,))])
def test_no_tab_has_a_serious_finding(open_page, axe, theme, widths):
    """At every width, and in each theme: its colours are the same at all of them."""
    page = open_page(f"?__theme={theme}", app="linked_url", until=SHOWN, viewport={"width": widths[0], "height": 900})
    page.evaluate(axe)
    found = {}
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).click()
        settled(page)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(STILL)  # what fades in has no contrast yet
            found[tab, width] = page.evaluate(RUN)
    assert found == {(tab, width): [] for tab in TABS for width in widths}
