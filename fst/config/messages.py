"""What OmegaConf says of a wrong value, in a user's words."""

import re

KINDS = {"Float": "a number", "Integer": "a whole number", "Bool": "true or false"}


def wrong_value(key: str, message: str) -> str:
    """One line on the value of a key that OmegaConf refused with that message."""
    first = message.strip().splitlines()[0]
    if found := re.match(r"Value '(.*)' of type '.*' could not be converted to (\w+)", first):
        return f"{key} is '{found[1]}', but it must be {KINDS.get(found[2], found[2])}"
    if found := re.match(r"Value '(.*)' is not a valid bool", first):
        return f"{key} is '{found[1]}', but it must be {KINDS['Bool']}"
    if "is not a ListConfig" in first:
        return f"{key} must be a list: write it in brackets, as {key}=[a,b]"
    if "is not Optional" in first or "Incompatible value 'None'" in first:
        return f"{key} cannot be empty: give it a value, or leave it out for the default"
    if found := re.match(r"Interpolation key '(.*)' not found", first):
        return f"{key} refers to '{found[1]}', which is no setting"
    return f"{key}: {first}"
