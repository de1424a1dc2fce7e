"""From approved rows to an adapter, in a supervised child process."""
