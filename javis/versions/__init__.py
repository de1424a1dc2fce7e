"""Adapter versions on disk."""
