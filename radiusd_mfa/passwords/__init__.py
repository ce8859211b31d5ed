"""Who can say whether a password is right."""
