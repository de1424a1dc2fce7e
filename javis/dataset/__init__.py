"""From rated turns towards training data."""
