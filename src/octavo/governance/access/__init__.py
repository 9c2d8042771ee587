"""Who may what: accounts of people and services, the roles that they hold, their keys, and how that is published."""
