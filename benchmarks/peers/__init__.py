"""Our run against other programs that bring up the same kernel, in one sitting."""
