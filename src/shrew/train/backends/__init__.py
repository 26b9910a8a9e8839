"""What holds parameters and optimiser and computes a step: NumPy over threads, or PyTorch. `loop.py` chooses."""
