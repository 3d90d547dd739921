"""Read both servers: sessions, masking in SQL, COPY, time limits, error translation. No output."""
