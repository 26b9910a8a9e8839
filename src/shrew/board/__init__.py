"""Boards on a serial port: writing models and firmware to their flash, and talking with them.

This room needs the extra ``board`` (esptool, pyserial). firmware/core/slots.h specifies a model slot in flash,
docs/PROTOCOL.md the messages on the line.
"""
