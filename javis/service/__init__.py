"""The use cases. UI, API and CLI call only these."""
