"""Fine-tunes: the environment that LLaMA-Factory runs in, run folders, their supervision, and who runs when."""
