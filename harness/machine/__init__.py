"""This machine: its processes, files, locks and folders, and how many guests it can run."""
