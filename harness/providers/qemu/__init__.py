"""QEMU's guests: what they are booted from, the process, its console and monitor."""
