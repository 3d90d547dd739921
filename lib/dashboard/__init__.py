"""Server-wide state shared by all sessions: data sets, days and exports. Draws no widgets."""
