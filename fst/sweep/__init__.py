"""What many runs of one command are: jobs, their summary, a search."""
