"""Compares our run with other programs that boot the same kernel, in one sitting."""
