"""The security decision: pure values in, values out; knows no SQL, socket or clock."""
