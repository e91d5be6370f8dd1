"""The one error that means "the user's input is wrong"."""


class InputError(ValueError):
    """The user's input is wrong: the command ends with this one line and exit code 2.

    The message names what was wrong, what was received and what would be accepted.
    """
