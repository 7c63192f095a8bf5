"""Messages of streams as rows of tables: one file a kind. Only worker processes import it."""
