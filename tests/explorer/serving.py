"""The page, served by this process."""

import contextlib


@contextlib.contextmanager
def served(demo):
    """Address of the running app."""
    from vidpred.explorer.page import launch_options

    # without a look at its own address, which takes three seconds' silence for a failure: a machine may be busy
    options = {**launch_options(), "prevent_thread_lock": True, "quiet": True, "_frontend": False}
    _, address, _ = demo.launch(**options)
    yield address
    demo.close()
