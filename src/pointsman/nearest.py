"""Which name was probably meant, for every sentence that says there is no such name."""

from collections.abc import Iterable
from difflib import get_close_matches


def meant(name: str, known: Iterable[str], otherwise: str) -> str:
    """`did you mean 'court'?`, or what is `otherwise` to be said where no known name is near."""
    spelled = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), spelled, 1)
    return f"did you mean {spelled[near[0]]!r}?" if near else otherwise
