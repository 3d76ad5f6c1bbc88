"""A champion leaves the registry: as a folder, or as GGUF files, judged again by what will run them."""
