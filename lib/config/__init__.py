"""Settings: keys, loading, secrets and file permissions. Opens no database connection."""
