"""A console that is typed on: its serial line or screen is read, and a guest file's steps typed."""
