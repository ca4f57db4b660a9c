"""Trouble of the agent in the log: a line when it comes, changes or ends, and none besides."""

from pointsman.trouble import Trouble


def test_trouble_is_told_once_and_so_is_its_end(log):
    """However many rounds of a loop it lasts."""
    trouble = Trouble()
    trouble.over()
    assert not trouble
    assert log() == []
    for _ in range(3):
        trouble.came(OSError("no room"))
    assert trouble
    trouble.came(OSError("no network"))
    trouble.over()
    trouble.over()
    assert not trouble
    assert log() == ["agent: no room", "agent: no network", "agent: well again"]
