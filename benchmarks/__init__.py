"""Side-by-side measurements, ``python -m benchmarks``: ratios of one run, not promises."""
