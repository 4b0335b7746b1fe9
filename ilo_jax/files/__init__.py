"""Files and formats: images, generators, variables; written whole or not at all."""
