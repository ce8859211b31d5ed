"""What Prometheus and `top` are told; the one home of the text format. No user, no address and no secret is in it."""
