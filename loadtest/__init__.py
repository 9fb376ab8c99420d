"""Load generator, verifier and report. Reaches the service only through Kafka, HTTP and the model file."""
