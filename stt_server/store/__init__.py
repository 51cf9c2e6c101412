"""What is kept in the database. Only here is SQL: SQLAlchemy Core over SQLite or PostgreSQL, migrated by Alembic."""
