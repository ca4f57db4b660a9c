"""A token is renewed well before it ends, and a provider that fails is asked less and less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.oauth.timing import LONGEST_PAUSE, MARGIN, pause_after, renew_at


@pytest.mark.parametrize(
    ("life", "after"),
    [(3600, 1800), (5400, 2700), (1200, 600), (900, 300), (600, 150), (60, 15), (0, 0)],
)
def test_renewed_after(life, after):
    """Half of its life, or while ten minutes are left, but never at once."""
    assert renew_at(1000.0, 1000.0 + life) == 1000.0 + after


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_never_late(obtained, life):
    """Within its life; and with the margin left, where that leaves a quarter of it."""
    due = renew_at(obtained, obtained + life)
    assert obtained <= due <= obtained + life
    if life * 3 / 4 >= MARGIN:
        assert obtained + life - due >= MARGIN - 1e-3


def test_pauses_grow():
    """From ten seconds to a quarter of an hour."""
    pauses = [pause_after(n) for n in range(1, 30)]
    assert pauses[:4] == [10, 20, 40, 80]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
