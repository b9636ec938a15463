"""The exported page in a real browser, from Python's own web server."""


def test_it_works_from_any_web_server(open_page):
    drawn = "document.querySelector('#player-host').dataset.request === '{}'"
    page = open_page("?run=dance", app="site_url", until=drawn.format(1), viewport={"width": 400, "height": 800})
    assert page.locator("#player-host canvas").first.is_visible()
    assert "run=dance&clip=" in page.url
    page.select_option("#run", "tiny")
    page.wait_for_function(drawn.format(2))
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
