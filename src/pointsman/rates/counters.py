"""Where the counters live: in this daemon's memory, or in a Redis that several share."""

from typing import Protocol

from pointsman.errors import PointsmanError
from pointsman.rates.rate import Rate
from pointsman.rates.windows import Near, Over, Use, Wanted, Windows


class CountersError(PointsmanError):
    """The counters can't be asked now."""


class Counters(Protocol):
    """What a policy daemon asks of them."""

    near: list[Near]

    async def charge(self, wanted: Wanted, recipients: int, now: float) -> Over | None:
        """Count a message in all its windows, or, if one has no room, in none."""

    async def take_back(self, wanted: Wanted, recipients: int, at: float, now: float) -> None:
        """Return the charge, made `at` a time, of a message that never left."""

    async def use(self, key: str, rate: Rate, now: float) -> list[Use]:
        """How full a counter's windows are."""


class Memory:
    """Counters of this daemon alone; the journal carries them over its death."""

    def __init__(self) -> None:
        self.windows = Windows()
        self.near = self.windows.near

    async def charge(self, wanted: Wanted, recipients: int, now: float) -> Over | None:
        """See Counters."""
        return self.windows.charge(wanted, recipients, now)

    async def take_back(self, wanted: Wanted, recipients: int, at: float, _now: float) -> None:
        """See Counters."""
        self.windows.take_back(wanted, recipients, at)

    async def use(self, key: str, rate: Rate, now: float) -> list[Use]:
        """See Counters."""
        return self.windows.use(key, rate, now)
