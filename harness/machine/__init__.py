"""This machine: its processes, files, locks and places, and how many guests it can carry."""
