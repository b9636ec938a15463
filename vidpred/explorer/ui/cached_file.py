"""Files that the page shows or hands out: in Gradio's cache, which is cleared by age."""

import hashlib
from pathlib import Path

from gradio.utils import get_upload_folder


def cached_file(name: str, *contents: bytes) -> Path:
    """Where a file of this name lies, in a folder named by what determines it: equal contents are one file, which
    visitors may share."""
    digest = hashlib.blake2b(b"".join(contents), digest_size=20).hexdigest()
    return Path(get_upload_folder()) / digest / name
