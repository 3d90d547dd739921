"""Settings: their keys, how they are loaded, secrets and file permissions. Opens no connection."""
