"""A matrix as text: one module for each format, and `formats` with the table of them."""
