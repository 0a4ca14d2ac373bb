"""Examines a machine and an artifact on it: what runs, why, and what to do about the rest."""
