"""Mail and SMS on their way out: what waits in the outbox is written, handed over, and tried again."""
