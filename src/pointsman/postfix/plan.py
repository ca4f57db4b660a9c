"""What differs between Postfix as it is and as it should be; apply.py makes it so."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pointsman.postfix.lane import LANE_FOLDERS
from pointsman.postfix.render import Rendered
from pointsman.routing.snapshot import Lane, Snapshot


@dataclass(frozen=True)
class Plan:
    """All differences, found before the first of them is mended."""

    rendered: Rendered
    files: Mapping[Path, tuple[str, int]]  # path: text, mode
    stale_files: tuple[Path, ...]
    senders: bool
    new_services: Mapping[str, str]
    changed_services: Mapping[str, str]
    stale_services: tuple[str, ...]
    parameters: Mapping[str, str | None]
    lanes: frozenset[str]  # connectors whose lane is new or other than before
    cut_off: bool  # the last apply was: Postfix may not have read what is in its files

    @property
    def reloads(self) -> bool:
        """Whether more than the lmdb changes, which Postfix sees by itself."""
        services = self.new_services or self.changed_services or self.stale_services
        return bool(self.files or services or self.parameters or self.cut_off)

    def describe(self) -> list[str]:
        """Name each change in words; no secret among them."""
        return [
            *(f"write {path}" for path in self.files),
            *(f"remove {path}" for path in self.stale_files),
            *(f"master.cf: add {name}" for name in self.new_services),
            *(f"master.cf: change {name}" for name in self.changed_services),
            *(f"master.cf: remove {name}" for name in self.stale_services),
            *(
                f"main.cf: {name} = {value or '(default)'}"
                for name, value in self.parameters.items()
            ),
            *(["update sender_transport.lmdb"] if self.senders else []),
            *(["reload, as the last apply was cut off"] if self.cut_off else []),
        ]


def is_in_use(path: Path) -> bool:
    """Whether a running lane reads the file: then it changes with the lane."""
    return path.parent.name in LANE_FOLDERS and path.exists()


def changed_lanes(
    before: Snapshot | None,
    after: Snapshot,
    written: Mapping[Path, object],
    services: Mapping[str, str],
) -> frozenset[str]:
    """Connectors whose mail takes a live lane other than before, or one that was corrected."""
    old = before or Snapshot()
    touched = {p.name.split(".")[0] for p in written if p.parent.name in LANE_FOLDERS}
    return frozenset(
        name
        for name in after.lanes
        if (lane := after.lane(name)) is not None
        and lane.live
        and (
            _way(old.lane(name)) != _way(lane)
            or lane.connector in touched
            or f"{lane.transport}/unix" in services
        )
    )


def _way(lane: Lane | None) -> tuple[str, bool, bool] | None:
    """What of a lane has to do with where mail goes; its rate has not."""
    return (lane.destination, lane.live, lane.align) if lane else None
