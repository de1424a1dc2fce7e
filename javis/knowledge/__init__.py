"""Texts found again by their meaning."""
