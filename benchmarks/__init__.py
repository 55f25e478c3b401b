"""Side-by-side measurements: ``python -m benchmarks``. Ratios of one run, never absolute promises."""
