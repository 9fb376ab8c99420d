"""The service around the engine. Never imports torch, training or loadtest."""

from importlib.metadata import version

VERSION = version("statecast")
