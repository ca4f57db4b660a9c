"""What can go wrong for a person, in sentences that say what to do about it."""


class PointsmanError(Exception):
    """Something an admin can put right; the message says what and how."""


class UsageError(PointsmanError):
    """What was asked for is malformed: exit status 2 in the CLI."""
