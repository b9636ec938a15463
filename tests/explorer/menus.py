"""What a menu offers."""


def names_of(choices):
    """The names behind a menu's titles."""
    return [choice[1] if isinstance(choice, (tuple, list)) else choice for choice in choices]
