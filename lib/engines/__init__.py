"""The same matching over partitions on disk or on a Spark cluster. Knows no screen."""
