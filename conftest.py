"""What `pytest --doctest-modules` leaves out: examples that need a service run in `tests/client/test_examples.py`."""

collect_ignore = [
    f"llmws/client/{name}.py"
    for name in ("assistants", "chats", "client", "jobs", "library", "providers", "sharing", "turns")
]
collect_ignore += [f"llmws/ui/{name}.py" for name in ("chats", "compare", "finetune", "providers")]
