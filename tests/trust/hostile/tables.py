"""CSVs that are none."""

from collections.abc import Iterator
from pathlib import Path

from tests.trust.hostile.doors import CLIP, FRAMES, Case, Doors, Said
from tests.trust.hostile.pictures import NO_FILES, at, both, in_place, on_disk, sharded

ROW = "0,0,0,0\n"
ACTIONS = Path("test") / CLIP / "actions.csv"


def row(text: str) -> bytes:
    """A table whose second row is another."""
    return (ROW + text + "\n" + ROW * (FRAMES - 2)).encode()


BROKEN = {
    "empty": b"",
    "blank": b" \n\n \n",
    "a row short": (ROW * (FRAMES - 1)).encode(),
    "too few columns": row("0,0,0"),
    "too many columns": row("0,0,0,0,0"),
    "a million columns": row("0," * 10**6),
    "a number of a million digits": row("0,0,0," + "1" * 10**6),
    "a line without an end": b"0" * (20 * 10**6),
    "NaN": row("0,nan,0,0"),
    "infinity": row("0,0,inf,0"),
    "larger than a float": row("0,0,0,1e400"),
    "larger than a float of 32 bits": row("0,0,0,1e39"),
    "text": row("a,b,c,d"),
    "a header": ("x,y,z,grip\n" + ROW * FRAMES).encode(),
    "an empty cell": row("0,,0,0"),
    "a comma at the end": row("0,0,0,0,"),
    "semicolons": (ROW * FRAMES).replace(",", ";").encode(),
    "tabs": (ROW * FRAMES).replace(",", "\t").encode(),
    "decimal commas": row("0,0,0,0,0,0,0,0"),
    "quotes": row('"0","0","0","0"'),
    "hexadecimal": row("0x1,0,0,0"),
    "digits with underscores": row("1_0,0,0,0"),
    "a formula": row("=1+1,0,0,0"),
    "JSON": b"[[0,0,0,0]]",
    "binary": bytes(range(256)) * 4,
    "UTF-16": (ROW * FRAMES).encode("utf-16"),
    "Latin-1": "é,0,0,0\n".encode("latin-1") * FRAMES,
    "NUL": row("0,\0,0,0"),
    "a complex number": row("1j,0,0,0"),
}
GOOD_BUT_STRANGE = {
    "CR LF": (ROW * FRAMES).replace("\n", "\r\n").encode(),
    "spaces": (" 0 , 0,0 ,0\n" * FRAMES).encode(),
    "blank lines between": (ROW + "\n").encode() * FRAMES,
    "a million rows more": (ROW * 10**6).encode(),
    "no end of line": (ROW * FRAMES)[:-1].encode(),
}


def alone(doors: Doors, folder: Path) -> Iterator[Said]:
    """One CSV without the other."""
    data = doors.copy("data", folder)
    (data / ACTIONS).unlink()
    yield sharded(doors, folder, data)
    yield doors.zipped((data / ACTIONS).parent)


def cases() -> Iterator[Case]:
    """A clip's actions in every state."""
    family = "CSV"
    for name, content in BROKEN.items():
        yield Case(family, name, both(at(ACTIONS, content)), "actions.csv")
    for name, content in GOOD_BUT_STRANGE.items():
        yield Case(family, name, both(at(ACTIONS, content)), None)
    for name, put in NO_FILES.items():
        yield Case(family, name, on_disk(in_place(ACTIONS, put)), "actions.csv")
    yield Case(family, "one of two", alone, "actions.csv")
