"""Models that are code, each in a process of its own that can do nothing but answer.

A pickle runs what whoever wrote it wanted run. So it is opened nowhere else than here: in a process without network,
that may change no file, sees nothing of the platform's own folder, has neither the environment nor the descriptors of
its parent, and no more memory and time than it is given. What the system does not allow of that, the process says.
"""
