"""The transformer: its configuration, its tensors, and a NumPy forward and backward that a person can read.

Read the room in this order:

=================  ================================================================================
``config``         what a model is: one dataclass, and the list of tensors that follows from it
``parameters``     these tensors in one buffer, their places in the network, how they start
``operators``      linear, norm, activation, embedding, cross-entropy: forward and backward
``attention``      rotary positions and causal attention
``layer``          one layer, made of these
``arithmetic``     chooses the operators: those above, or the engine's for float32
``transformer``    the whole network, forward and backward
``documents``      how a batch of packed rows becomes blocks of whole documents
``gradients``      the loss of a batch and its gradients, shared out among threads
=================  ================================================================================

``presets`` are configurations that were measured; ``divergence`` compares two networks' logits; ``allocator`` makes
NumPy faster.
"""
