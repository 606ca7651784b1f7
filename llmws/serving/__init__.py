"""Models served here: llama.cpp as a supervised child process, and the conversions between GGUF and Hugging Face.

It must not know providers, jobs or the store: who asks for a model's endpoint gets an address, a key and what to add to
the request.
"""
