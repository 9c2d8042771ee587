"""From events to feature values: one definition, computed offline and online, equal."""
