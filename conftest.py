"""What `pytest --doctest-modules` leaves out: examples that need a service run in `tests/client/test_examples.py`."""

collect_ignore = ["llmws/client/chats.py", "llmws/client/client.py", "llmws/client/jobs.py"]
