"""The page, served by this process."""

import contextlib


@contextlib.contextmanager
def served(demo):
    """Address of the running app."""
    from vidpred.explorer.page import launch_options

    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield address
    demo.close()
