"""The version of Captionbox: its one and only source."""

__version__ = "0.1.0"
