"""The option `scale`: what is done to the inputs before the network gets them."""

AUTO, NONE, STANDARD = WAYS = "auto", "none", "standard"


def parse_scale(scale: str) -> tuple[str, dict[str, str]]:
    """Read one way for all inputs, `none`, or ways of some of several inputs, `tokens=none,image=standard`.

    Returns:
        the way of all inputs that are not named, and those of the named ones.

    Raises:
        ValueError: if it is written otherwise.

    """
    rest, own = AUTO, {}
    for part in scale.split(","):
        name, _, way = part.rpartition("=")
        if way not in WAYS or name in own or (not name and ("=" in part or "," in scale)):
            raise ValueError(f"expected {', '.join(WAYS)}, or for several inputs name=way,name=way")
        if name:
            own[name] = way
        else:
            rest = way
    return rest, own
