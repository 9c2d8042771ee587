"""The Python client of a running Octavo."""
