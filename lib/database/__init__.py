"""Read both servers: sessions, masking in SQL, COPY, time limits, translation of errors."""
