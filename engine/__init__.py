"""The pure core that serving, replay, evaluation and verification share. No Kafka, no clock, no threads."""
