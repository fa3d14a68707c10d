"""Vendors' images: downloaded, resumed, verified, unpacked."""
