"""JAVIS: a personal chat assistant that gets better from its user's thumbs."""

__version__ = "0.1.0"
