"""The judge: what a lab's checks are made of, and the process that observes a service and grants points."""
