"""reuseport-matrix: what kernels do when several sockets share one port."""
