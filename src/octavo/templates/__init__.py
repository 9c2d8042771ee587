"""Project templates, one per system."""
