"""What came of what, from any event table to any prediction and back; read from the records, and kept nowhere else."""
