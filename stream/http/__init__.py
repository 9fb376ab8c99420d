"""Health and metrics over HTTP, beside the loop."""
