"""What keeps everything going: the worker, durable workflows, triggers, schedules."""
