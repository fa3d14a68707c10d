"""Fetches vendors' images: download, resume, verify, unpack."""
