"""One promise against one figure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What was wanted, what was found, and by how much it falls short."""

    what: str
    wanted: str
    found: str
    kept: bool
    short: str = ""

    @property
    def verdict(self) -> str:
        """In a word or two."""
        return "yes" if self.kept else f"**no**, {self.short}"
