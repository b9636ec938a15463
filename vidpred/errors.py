"""The one error that a person caused and can mend."""


class BadInput(ValueError):
    """Bad data, checkpoint, option or field. The message is one clear line that names what to mend."""
