"""Time and memory benchmarks. Run each module alone; it ends with one line of figures."""
