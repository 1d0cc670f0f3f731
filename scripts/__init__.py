"""Programs that keep the documents fresh."""
