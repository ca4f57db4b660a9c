"""Reads YAML that people write: what the format allows and nobody means is refused.

The configuration file and `pointsman import` read by it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from yaml.composer import ComposerError

from pointsman.errors import PointsmanError

_MERGE = "tag:yaml.org,2002:merge"


class YamlError(PointsmanError):
    """The text is no YAML, or more of it than is wanted; the message says where."""


class _StrictLoader(yaml.SafeLoader):
    """Refuses duplicate keys, aliases (bombs) and merge keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for name, _ in node.value:
            if name.tag == _MERGE:
                raise ComposerError(None, None, "<< is not allowed", name.start_mark)
            if isinstance(name, yaml.ScalarNode):
                if name.value in seen:
                    problem = f"key {name.value!r} is there twice"
                    raise ComposerError(None, None, problem, name.start_mark)
                seen.add(name.value)
        return node


def parsed(raw: bytes) -> Any:
    """The values; raises YamlError."""
    with _sentences():
        return yaml.load(raw, Loader=_StrictLoader)  # noqa: S506 - derived from SafeLoader


def composed(raw: bytes) -> yaml.Node | None:
    """The tree, each node with its line, nothing made of it yet; raises YamlError."""
    with _sentences():
        loader = _StrictLoader(raw)
        try:
            node: yaml.Node | None = loader.get_single_node()
        finally:
            loader.dispose()
        return node


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise YamlError(f"{error.problem}{where}") from None
    except yaml.reader.ReaderError as error:
        raise YamlError(error.reason) from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise YamlError(" ".join(str(error).split())) from None
