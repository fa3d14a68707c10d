"""The `vagrant` provider: boxes, plug-ins, the guest, and libvirt below it."""
