"""The one error that a person caused and can mend, and how it is said."""


class BadInput(ValueError):
    """Bad data, checkpoint, option or field. The message is one clear line that names what to mend."""


def one_line(error: BadInput | OSError) -> str:
    """What it says; of an error of the system (no space, no permission, a folder where a file should be) the file and
    the cause."""
    file = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return f"{file}: {error.strerror}" if file else " ".join(str(error).split())


def require_utf8(name: str, where: str) -> None:
    """BadInput for the name of a file that is not UTF-8, as other systems' archives may hold; where: "FOLDER holds"."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{where} {name!r}, a name that is not UTF-8: rename it") from None


def in_one_line(text: str, most: int = 300) -> str:
    """A message with names and values of a stranger in it: no markup, no second line, no page of it."""
    text = " ".join("".join(c if c.isprintable() and c not in "<>" else " " for c in text[:1000]).split())
    return text if len(text) <= most else f"{text[:most]} …"
