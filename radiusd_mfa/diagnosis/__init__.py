"""What `doctor` makes of what it found: facts in, findings out. Pure: knows no file, socket, database and clock."""
