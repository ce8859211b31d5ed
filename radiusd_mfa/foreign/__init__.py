"""What other systems write down about their users: files are read here, and nothing is judged or written."""
