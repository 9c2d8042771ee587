"""From features and labels to a fitted model: datasets, runs, evaluation, reports."""
