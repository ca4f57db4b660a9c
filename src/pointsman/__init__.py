"""Send each agency's mail out through its own connector, at its own pace."""

__version__ = "0.1.0"
