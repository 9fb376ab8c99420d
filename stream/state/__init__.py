"""Durable state: what is written of each row, when, and how a partition's rows come back. See docs/semantics.md."""
