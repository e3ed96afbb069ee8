"""Files of the data folder: where they are, and how they are read and written safely."""
