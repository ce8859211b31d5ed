"""The pages, one module a subject; each says which paths it answers."""
