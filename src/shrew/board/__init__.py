"""Boards on a serial port: writing models and firmware into their flash, and talking with them.

This room needs the extra ``board`` (esptool, pyserial). What a model slot looks like in flash is described in
firmware/core/slots.h, what is said on the line in docs/PROTOCOL.md.
"""
