"""Measures what the harness costs, as ratios from one sitting; see each module."""
