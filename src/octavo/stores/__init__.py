"""What is kept, and where: narrow ports, and an adapter for each technology."""
