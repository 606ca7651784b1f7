"""llmws: a notebook-centric workspace for large language models."""

__version__ = "0.1.0"
