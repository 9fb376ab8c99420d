"""The embedded single-node Apache Kafka, for the demo, the tests and `statecast broker`. It comes from PyPI and Maven
Central alone: no installed Java, no container engine. It knows nothing of the service that talks to it."""
