"""Runs: the plan, the guests that run at the same time, the questions to each, the results."""
