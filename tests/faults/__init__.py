"""What breaks beneath the program: deaths at every call of the system, bad disks, clocks that jump."""
