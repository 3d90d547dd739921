"""The command line. Loads neither the screen nor the charts."""
