"""Ports: builds the engine for other machines, runs it in emulators, and compares it with this machine bit for bit."""

from shrew.ports.bundle import Job, Outcome, Step, make_bundle, parse_lines
from shrew.ports.emulator import EMULATED
from shrew.ports.host import Host
from shrew.ports.target import FULL, VARIANTS, Target, Variant

__all__ = [
    "EMULATED",
    "FULL",
    "VARIANTS",
    "Host",
    "Job",
    "Outcome",
    "Step",
    "Target",
    "Variant",
    "make_bundle",
    "parse_lines",
]
