"""What it costs, printed as ratios of one sitting; see each module."""
