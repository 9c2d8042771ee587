"""Runs as people log them: experiments, parameters, metrics with their histories, tags and artifacts."""
