"""The HTTP door of the control process."""
