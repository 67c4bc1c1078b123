"""The load generator: all that runs in the Locust process, and nowhere else."""
