"""Charts in plotly. Pure: draws what `analysis` computes, and computes nothing itself."""
