"""Training data: formats, reading, validation, and the samples that come along. No store, no service."""
