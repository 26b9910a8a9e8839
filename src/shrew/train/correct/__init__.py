"""The second stage of training: a trained model unlearns what it confuses, and keeps the rest.

``confusions`` finds what is confused, ``correction`` is the loss and its training, ``stage`` runs both and reports.
"""
