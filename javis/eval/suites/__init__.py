"""What a version is asked, and how its answers are marked."""
