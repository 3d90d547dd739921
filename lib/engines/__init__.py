"""Ways to run one reconciliation on data that do not fit in memory, all giving the same answer."""
