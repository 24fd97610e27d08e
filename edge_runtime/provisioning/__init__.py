"""What an installer and a maintainer do with a device."""
