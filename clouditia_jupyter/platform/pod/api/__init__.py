"""The pod's HTTP face, a file for each group of calls."""
