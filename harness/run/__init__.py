"""From what is asked for to a matrix: the plan, the guests at once, the questions of each."""
