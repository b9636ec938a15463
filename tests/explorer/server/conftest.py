"""Apps of a test alone, whose patience may be short."""

import contextlib
from types import SimpleNamespace

import pytest
from fastapi.middleware import Middleware

from tests.explorer.serving import served
from vidpred.explorer.runs.library import Library


@pytest.fixture
def open_app(tiny_run, tiny_data):
    """open_app(seconds=…, unheard=…): an app with a library of its own; by default as patient as ours."""
    from vidpred.explorer.page import build_demo, launch_options
    from vidpred.explorer.server.gate import Gate

    with contextlib.ExitStack() as stack:

        def open_(**seconds):
            library = Library([tiny_run], [tiny_data])
            demo = build_demo(library)
            options = launch_options()["app_kwargs"] | {"middleware": [Middleware(Gate, **seconds)]}
            url = stack.enter_context(served(demo, app_kwargs=options))
            return SimpleNamespace(demo=demo, library=library, url=url, app=demo.app, queue=demo._queue)

        yield open_
