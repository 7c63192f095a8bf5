"""What is told outside: each committed version as a CloudEvent, to a file, a webhook or Kafka."""
