"""Reading both servers: sessions, masking in SQL, COPY, time limits and error translation. Shows
nothing.
"""
