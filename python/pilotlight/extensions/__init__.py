"""`modal.extensions`: ties to other tools."""
