"""The scheduler's database: tables, the writer, leadership, and how rows become resources."""
