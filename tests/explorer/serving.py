"""The page, served by this process."""

import contextlib


@contextlib.contextmanager
def served(demo, **options):
    """Address of the running app. options: of launch, instead of ours."""
    from vidpred.explorer.page import launch_options

    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **{**launch_options(), **options})
    yield address
    demo.close()
