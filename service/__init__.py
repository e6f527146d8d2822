"""The speech service: voices, a queue, and the doors that let a house speak."""

from importlib.metadata import version

__version__ = version("gptsovits-home")
