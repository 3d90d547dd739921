"""The same matching over partitions on a disk or on a Spark cluster; imports no screen."""
