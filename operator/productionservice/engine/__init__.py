"""What kopf does not have: client, informers, queue, workers, leader election, apply, events (ADR 0002)."""
