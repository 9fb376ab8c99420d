"""Kept for durable state: changelog, restore, snapshot, spill. Nothing stands here yet; see docs/semantics.md."""
