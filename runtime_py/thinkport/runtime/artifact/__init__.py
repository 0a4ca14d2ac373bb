"""What an artifact holds: manifest, goldens and certificate, and how its files are read."""
