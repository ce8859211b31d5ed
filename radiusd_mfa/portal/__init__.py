"""The pages: people set up and look after their second factor, owners and administrators that of their teams."""
