"""Files: written whole, read safely, downloaded, unpacked."""
