"""The device's commands, one module each; a command parses, makes one call into the library, and prints."""
