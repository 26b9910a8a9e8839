"""The transformer: its configuration, its tensors, and a readable forward and backward in NumPy.

Read the room in this order:

=================  ================================================================================
``config``         a model's configuration: one dataclass, and the list of tensors that it implies
``parameters``     these tensors in one buffer, their places in the network, their initial values
``operators``      linear, norm, activation, embedding, cross-entropy: forward and backward
``attention``      rotary positions and causal attention
``layer``          one layer, composed of these
``arithmetic``     chooses the operators: those above, or the engine's for float32
``transformer``    the whole network, forward and backward
``documents``      splits a batch of packed rows into blocks of whole documents
``gradients``      the loss of a batch and its gradients, computed by several threads
=================  ================================================================================

``presets`` has measured configurations; ``divergence`` compares the logits of two networks; ``allocator`` makes NumPy
faster.
"""
