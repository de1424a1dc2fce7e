"""What is kept: TinyDB on a crash-safe journal, and one class per kind of thing in it."""
