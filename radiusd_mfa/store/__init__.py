"""The only home of SQLAlchemy: schema, engine, one file a port, migrations."""
