"""The HTTP side: routes for programs, and the guards that stand in front of every route."""
