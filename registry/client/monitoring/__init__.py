"""The client's methods for monitors and incidents."""
