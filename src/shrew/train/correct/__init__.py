"""The second stage of training: a trained model unlearns confusions and preserves its other answers.

``confusions`` finds confused answers, ``correction`` has the loss and its training, ``stage`` runs both and reports.
"""
