"""Random faults against a running service under load, and whether every event still has exactly its outcome."""
