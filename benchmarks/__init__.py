"""Time and memory benchmarks. Run one module at a time; it ends with one line of figures."""
