"""What keeps one of the agent's loops from its work: told once, not at each of its rounds."""

from pointsman import logs


class Trouble:
    """True while there is some; the log says when it comes, changes and ends."""

    def __init__(self) -> None:
        self._text = ""

    def __bool__(self) -> bool:
        return bool(self._text)

    def came(self, error: Exception) -> None:
        """A round failed."""
        if str(error) != self._text:
            self._text = str(error)
            logs.agent_trouble(error)

    def over(self) -> None:
        """A round went well."""
        if self._text:
            self._text = ""
            logs.agent_well()
