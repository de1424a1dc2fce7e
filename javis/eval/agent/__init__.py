"""What the agent suite is made of: tools that work, plans played through, conclusions read."""
