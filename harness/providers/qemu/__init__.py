"""The `qemu` provider: a guest's images, its QEMU process, console and monitor."""
