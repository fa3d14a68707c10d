"""Vagrant's guests: boxes, plug-ins, the machine, and libvirt below it."""
