"""The scheduler's database: tables, the writer, leadership, and the conversion of rows to resources."""
