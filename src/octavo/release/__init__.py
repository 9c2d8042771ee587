"""How a version earns traffic: manifests, the rollout's state machine, rollback."""
