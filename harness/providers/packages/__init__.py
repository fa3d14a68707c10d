"""Debian packages: apt finds and verifies them, and they are unpacked without root."""
