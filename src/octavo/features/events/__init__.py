"""Events as they come in: decoded, checked, accepted, and what becomes of those that cannot be."""
