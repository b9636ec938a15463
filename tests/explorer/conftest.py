"""A library of one tiny run, and the app that shows it."""

import os

import pytest

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


@pytest.fixture(scope="session")
def library(tiny_run, tiny_data):
    from vidpred.explorer.runs.library import Library

    return Library([tiny_run], [tiny_data])


@pytest.fixture(scope="session")
def families(tiny_run, tiny_data, dance_run, tiny_dance):
    """A robot run and a dance run, with clips of both."""
    from vidpred.explorer.runs.library import Library

    return Library([tiny_run, dance_run], [tiny_data, tiny_dance])


@pytest.fixture(scope="session")
def demo(library):
    from vidpred.explorer.page import build_demo

    return build_demo(library)


@pytest.fixture(scope="session")
def url(demo):
    """Address of the running app."""
    from vidpred.explorer.page import launch_options

    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield address
    demo.close()
