"""What a user declares: frozen, without I/O, and refused at once when it cannot be right."""
