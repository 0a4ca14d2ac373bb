"""What this machine is, and what it keeps of artifacts: CPU, threads, known files."""
