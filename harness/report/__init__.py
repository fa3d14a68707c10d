"""Renders a matrix as text: one module for each format; `formats` has the table of them."""
