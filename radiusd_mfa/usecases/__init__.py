"""One file a subject, one function a verb; permission and audit live here."""
