"""The `gvisor` provider: the kernel is gVisor's, a program that `runsc` starts as a sandbox."""
