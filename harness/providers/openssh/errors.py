"""What is raised about the files of ~/.ssh."""


class OpensshError(Exception):
    """A problem in ~/.ssh that prevents a login, in a sentence; the provider translates it."""
