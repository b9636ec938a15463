"""Tables in Markdown."""

import re
from collections.abc import Iterable, Sequence

SPECIAL = re.compile(r"[\\`*_{}\[\]()<>#+|!~$&]")


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown; what is someone's words goes through `literal` first."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def literal(text: str) -> str:
    """A text as it is, on one line: nothing in it is a mark."""
    return SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
