"""Packages of Debian's archive, found and verified through apt, unpacked without root."""
