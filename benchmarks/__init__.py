"""How fast and in how much memory: each module is run alone and ends in one line of figures."""
