"""The notebook side: the magics, and what they show."""
