"""Gates: whether a version has earned its release, each with the evidence in numbers."""
