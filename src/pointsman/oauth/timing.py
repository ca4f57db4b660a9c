"""When a token is renewed. Pure; all times in seconds."""

MARGIN = 600.0  # Microsoft's HVE takes no token with less than this left
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 900.0


def renew_at(obtained: float, expires: float) -> float:
    """At half of its life, and while MARGIN is left; of a short life at a quarter."""
    life = expires - obtained
    return obtained + max(life / 4, min(life / 2, life - MARGIN))


def pause_after(failures: int) -> float:
    """How long to wait when it failed so often: longer each time."""
    return float(min(FIRST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE))
