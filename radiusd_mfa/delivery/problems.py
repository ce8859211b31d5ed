"""What may go wrong on the way out. No sentence here ever holds a link, a code or a password: it is kept and logged."""


class SetUpProblem(Exception):
    """Nothing can be delivered with these settings, files or templates; the sentence says what to change."""


class DeliveryProblem(Exception):
    """This message could not be handed over; it is tried again later."""


class UnreachableProblem(DeliveryProblem):
    """Nothing can be handed over to this server now, this message or another."""
