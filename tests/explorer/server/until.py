"""What is waited for in another process or thread that says nothing when it is there."""

import time

PATIENCE = 300  # seconds; only a test that fails waits for them


def until(condition):
    """Wait for what must become true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.01)


def function(demo, name):
    """The number of a function of the page, and the labels of what it is given."""
    number, fn = next((number, fn) for number, fn in demo.fns.items() if fn.name == name)
    return number, [getattr(block, "label", None) for block in fn.inputs]
