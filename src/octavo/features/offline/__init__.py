"""Features at past moments, as one query per view."""
