"""Training and serving, compared: whether what was served is what a training set would have had then."""
