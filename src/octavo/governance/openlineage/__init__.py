"""Lineage told to others: OpenLineage events of trainings, datasets and releases, put in an outbox and delivered."""
