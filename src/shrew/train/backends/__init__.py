"""Backends hold parameters and optimiser and compute steps: NumPy with threads, or PyTorch. `loop.py` chooses one."""
