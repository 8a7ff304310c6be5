"""Client methods for operators: gc, doctor, relocate."""
