"""MLflow's REST API, as its client of today speaks it: another door to runs, experiments and registered models."""
