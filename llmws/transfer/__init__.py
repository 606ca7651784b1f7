"""Conversations as files: `Conversation` and the formats that it is written to and read from.

Nothing here knows of a store or a service: who writes gives a `Conversation` and gets text, piece by piece; who reads
gives a file and gets `Conversation`s, one by one (see `records`).
"""
