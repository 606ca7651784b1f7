"""How to speak to a model server: a class per wire, a row of `catalog.toml` per vendor.

Nothing here knows the store, the service or whose request it is; keys come in as arguments and never leave.
"""
