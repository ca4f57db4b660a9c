"""A daemon's snapshot is replaced while it works, and whatever the file holds it goes on."""

import gc

import pytest

from pointsman.current import Current
from pointsman.routing.snapshot import Snapshot, dump


@pytest.mark.parametrize("content", ["", "{", '{"format": 0}', dump(Snapshot(revision=2))])
def test_garbage_is_collected_after_any_file(tmp_path, content):
    """It is put off while a file is read, whether that can be read or not."""
    path = tmp_path / "snapshot.json"
    path.write_text(dump(Snapshot(revision=1)))
    current = Current(path, quiet=True)
    current.refresh()
    path.with_suffix(".new").write_text(content)
    path.with_suffix(".new").replace(path)
    current.refresh()
    assert current.snapshot.revision == (2 if "revision" in content else 1)
    assert gc.isenabled()
